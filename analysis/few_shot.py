"""How many labels does one model need to be as good as another with all of them?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.declared import less_is_better
from analysis.selection import choose_on_validation, twin
from analysis.table import check, values_of

RESAMPLES = 2000


def cells_to_parity(
    table: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "test/macro_f1",
    *,
    level: float = 0.95,
    select_on: str | None = None,
) -> pd.DataFrame:
    """Labelled cells that `a` needs to score what `b` scores with its most, a row a data set.

    Columns: task, dataset, target (b's mean at its largest label share), cells_b, cells, low, high
    and n_seeds. `cells` is where the line through a's means, over the logarithm of labelled cells,
    first reaches the target; the interval draws shared seeds again for both models, and takes
    percentiles. `inf`: not with any number that was run. The fewest that were run: that or fewer.
    With few seeds the interval is too narrow, and it knows nothing of other cells.

    Raises LookupError where no data set has both models at two label shares and on two seeds.
    """
    check(table)
    best = choose_on_validation(table[table["model"].isin([a, b])], select_on or twin(metric))
    rows, better = [], -1.0 if less_is_better(best, metric) else 1.0  # the curve of an error falls
    for (task, dataset), part in values_of(best, metric).groupby(["task", "dataset"]):
        scores = part.pivot_table(index="seed", columns=["model", "fraction"], values="value")
        scores = better * scores.dropna(axis=1, how="all").dropna()
        models = scores.columns.get_level_values("model")
        if not {a, b} <= set(models) or (models == a).sum() < 2 or len(scores) < 2:
            continue
        sizes = part.groupby(["model", "fraction"])["n_train"].mean()
        curve, cells = scores[a].to_numpy(), sizes[a].loc[scores[a].columns].to_numpy()
        goal = scores[b].to_numpy()[:, -1]
        drawn = np.random.default_rng(0).integers(len(scores), size=(RESAMPLES, len(scores)))
        again = [reached(cells, curve[rows].mean(0), goal[rows].mean()) for rows in drawn]
        # an order, not a mean: some of them may be infinite
        tail = int((1 - level) / 2 * RESAMPLES)
        ordered = np.sort(again)
        rows.append(
            {
                "task": task,
                "dataset": dataset,
                "target": better * goal.mean(),
                "cells_b": sizes[b].iloc[-1],
                "cells": reached(cells, curve.mean(0), goal.mean()),
                "low": ordered[tail],
                "high": ordered[-1 - tail],
                "n_seeds": len(scores),
            }
        )
    if not rows:
        raise LookupError(f"no data set has {a} and {b} at two label shares and on two seeds")
    return pd.DataFrame(rows)


def reached(cells: np.ndarray, curve: np.ndarray, target: float) -> float:
    """Where a line through points, over log cells, first is at `target`; infinite if nowhere.

    >>> round(reached(np.array([10.0, 1000.0]), np.array([0.5, 0.7]), 0.6))
    100
    """
    above = np.flatnonzero(curve >= target)
    if not len(above):
        return float("inf")
    i = above[0]
    if i == 0:
        return float(cells[0])
    way = (target - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float(np.exp(np.log(cells[i - 1]) + way * np.log(cells[i] / cells[i - 1])))
