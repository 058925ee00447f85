"""Which models rank higher over many data sets, and by how much ranks must differ to mean it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.declared import less_is_better
from analysis.selection import choose_on_validation, twin
from analysis.table import check, values_of


@dataclass(frozen=True)
class Ranking:
    """Friedman's test of many models on many data sets, and Nemenyi's of every pair.

    After Demsar 2006, Statistical comparisons of classifiers over multiple data sets, JMLR 7:1. A
    data set counts once, by the mean over its seeds, so seeds that share cells do no harm here; it
    speaks of data sets like these.
    """

    ranks: pd.Series
    """Mean rank of each model, 1 the best, the best first."""
    datasets: list[str]
    statistic: float
    p: float
    """Friedman's, against all models being alike; chi-squared, rough below ten data sets."""
    critical_difference: float
    """Mean ranks this far apart differ at `alpha`."""
    pairs: pd.DataFrame
    """Nemenyi's p-value of each pair, models by models in the order of `ranks`."""
    alpha: float
    note: str

    def groups(self) -> list[list[str]]:
        """Models that lie within the critical difference of each other, the largest such sets."""
        names, values = list(self.ranks.index), self.ranks.to_numpy()
        reach = np.searchsorted(values, values + self.critical_difference, side="left")
        runs = [(start, end) for start, end in enumerate(reach) if end - start > 1]
        kept = [run for i, run in enumerate(runs) if i == 0 or run[1] > runs[i - 1][1]]
        return [names[start:end] for start, end in kept]


def ranking(
    table: pd.DataFrame,
    metric: str = "test/macro_f1",
    *,
    fraction: float | None = None,
    alpha: float = 0.05,
    select_on: str | None = None,
) -> Ranking:
    """Rank the models of a tidy table on `metric` at one label share (by default the largest).

    Candidates are chosen as `compare` chooses them. Data sets that some model lacks are left out,
    and named in `note`. Raises ValueError below three models (compare two) or two data sets.
    """
    from scipy import stats

    check(table)
    share = table["fraction"].max() if fraction is None else fraction
    best = choose_on_validation(table[table["fraction"] == share], select_on or twin(metric))
    means = values_of(best, metric).pivot_table(
        index=["task", "dataset"], columns="model", values="value", aggfunc="mean"
    )
    whole = means.dropna().round(12)  # the order of rows moves the last digits of a mean
    n, k = whole.shape
    if k < 3 or n < 2:
        raise ValueError(
            f"ranking wants 3 models on 2 data sets that all of them did, and has {k} on {n}:"
            " compare two models with `compare`"
        )
    ranks = (
        whole.rank(axis=1, ascending=less_is_better(best, metric)).mean().sort_values(kind="stable")
    )
    statistic, p = stats.friedmanchisquare(*(whole[model] for model in whole.columns))
    unit = np.sqrt(k * (k + 1) / (12 * n))  # of Tukey's range, which is sqrt(2) times a z
    apart = np.abs(ranks.to_numpy()[:, None] - ranks.to_numpy()) / unit
    pairs = pd.DataFrame(stats.studentized_range.sf(apart, k, np.inf), ranks.index, ranks.index)
    lacking = [str(name) for _, name in means.index.difference(whole.index)]
    notes = [f"left out, as some model lacks them: {', '.join(lacking)}"] if lacking else []
    notes += [f"{n} data sets: p-values are rough below ten"] if n < 10 else []
    return Ranking(
        ranks=ranks,
        datasets=[str(name) for _, name in whole.index],
        statistic=float(statistic),
        p=float(p),
        critical_difference=float(stats.studentized_range.ppf(1 - alpha, k, np.inf) * unit),
        pairs=pairs,
        alpha=alpha,
        note="; ".join(notes),
    )
