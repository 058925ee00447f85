"""How far seeds scatter, and whether in two groups: Boiarsky et al., Figures 4 and 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.table import CELL, values_of

UNIFORM = 5 / 9
"""The bimodality coefficient of a uniform distribution; two groups are above it."""


def seed_scatter(table: pd.DataFrame, metric: str = "test/accuracy") -> pd.DataFrame:
    """A row a model, data set and fraction: n, mean, sd, lowest, highest, and two signs of groups.

    `bimodality`: Sarle's coefficient as SAS defines it (Pfister et al. 2013,
    doi:10.3389/fpsyg.2013.00700): above 5/9 where values part into two groups, or are very skew;
    NaN below four values or without spread. `two_groups`: by how much the BIC of one normal
    distribution is above that of two (Schwarz 1978), above 10 being strong evidence for two; NaN
    below six values. With few seeds neither proves much: the paper's two groups are of ten.
    """
    rows = []
    for keys, part in values_of(table, metric).groupby([*CELL, "model"]):
        values = part["value"].to_numpy(dtype=float)
        summary = {"n": len(values), "mean": values.mean(), "sd": spread(values)}
        summary |= {"lowest": values.min(), "highest": values.max()}
        summary |= {"bimodality": bimodality(values), "two_groups": two_groups(values)}
        rows.append(dict(zip([*CELL, "model"], keys, strict=True)) | summary)
    return pd.DataFrame(rows)


def variance_components(table: pd.DataFrame, metric: str = "test/accuracy") -> pd.DataFrame:
    """How much of the scatter over seeds all arms share: a row a task, data set and fraction.

    `shared_sd` is what a seed does to all arms alike: the split, the labelled cells it draws, easy
    or hard ones. `own_sd` is what it does to one arm alone: weights at the start, the order of
    batches, and a split that suits one arm better. One seed drives split, weights and order, so
    runs that vary the seed alone cannot part them further; with `protocol=fixed` there is no split
    to vary, and with `whole` cells nothing is drawn. `share` is the shared part of the variance,
    which pairing by seed takes out of a comparison.

    Moments of the two-way analysis of variance (arms x seeds; Searle, Casella & McCulloch 1992,
    ch. 4), arms with one spread; below zero is put as zero. Seeds that some arm lacks are left out.
    """
    rows = []
    for keys, part in values_of(table, metric).groupby(CELL):
        scores = part.pivot_table(index="seed", columns="model", values="value").dropna()
        n, k = scores.shape
        if n < 2 or k < 2:
            continue
        values = scores.to_numpy()
        means = values.mean(1)
        rest = values - means[:, None] - values.mean(0) + values.mean()
        own = (rest**2).sum() / ((n - 1) * (k - 1))
        shared = max(0.0, means.var(ddof=1) - own / k)
        found = {"n_models": k, "n_seeds": n, "shared_sd": shared**0.5, "own_sd": own**0.5}
        share = shared / (shared + own) if shared + own else float("nan")
        rows.append(dict(zip(CELL, keys, strict=True)) | found | {"share": share})
    columns = [*CELL, "n_models", "n_seeds", "shared_sd", "own_sd", "share"]
    return pd.DataFrame(rows, columns=columns)


def spread(values: np.ndarray) -> float:
    """The standard deviation with n - 1; NaN of one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def bimodality(values: np.ndarray) -> float:
    """Sarle's coefficient; 5/9 for a uniform distribution, 1/3 for a normal one.

    Few values are pulled down: eight in two clear groups come to 0.46, a hundred to 0.9.

    >>> values = np.array([0.60, 0.61, 0.60, 0.62, 0.74, 0.75, 0.75, 0.74])
    >>> round(bimodality(values), 2), round(bimodality(np.tile(values, 13)), 2)
    (0.46, 0.92)
    """
    n = len(values)
    if n < 4 or np.ptp(values) == 0:
        return float("nan")
    from scipy.stats import kurtosis, skew

    asymmetry = float(skew(values, bias=False))
    excess = float(kurtosis(values, bias=False))
    return (asymmetry**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))


def two_groups(values: np.ndarray) -> float:
    """BIC of one normal distribution less that of two with one spread; 0 without spread.

    The two are cut where the fit is best; their four numbers are two means, a spread and a share.
    """
    n = len(values)
    if n < 6:
        return float("nan")
    if np.ptp(values) == 0:
        return 0.0
    ordered = np.sort(values)
    floor = np.ptp(values) * 1e-6

    def fit(parts: list[np.ndarray]) -> float:
        """Twice the log likelihood of values, each in its part, with a spread they share."""
        squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
        sigma = max(np.sqrt(squares / n), floor)
        shares = sum(len(part) * np.log(len(part) / n) for part in parts)
        return 2 * (shares - n * np.log(sigma) - n / 2)

    one = fit([ordered])
    two = max(fit([ordered[:cut], ordered[cut:]]) for cut in range(2, n - 1))
    return float((two - one) - 2 * np.log(n))


def learning_curves(
    table: pd.DataFrame, histories: Mapping[str, list[dict[str, Any]]], metric: str
) -> pd.DataFrame:
    """A row a trial and epoch: task, data set, fraction, model, seed, trial_id, epoch, value.

    `histories` holds what each epoch of a trial reported, by the trial's id; see
    `results.histories`. `metric` is one that epochs report, such as "valid/accuracy".
    """
    columns = [*CELL, "model", "seed", "trial_id"]
    trials = table.drop_duplicates("trial_id")[columns]
    told = [
        (trial_id, int(epoch["epoch"]), epoch[metric])
        for trial_id, history in histories.items()
        for epoch in history
        if metric in epoch and "epoch" in epoch
    ]
    return trials.merge(pd.DataFrame(told, columns=["trial_id", "epoch", "value"]), on="trial_id")
