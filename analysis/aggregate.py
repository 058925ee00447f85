"""Scores of many data sets in one number a model, with intervals that know there are few seeds.

After Agarwal et al. 2021, Deep reinforcement learning at the edge of the statistical precipice
(arXiv:2108.13264). A run is a seed on a data set; data sets are strata, and only seeds are drawn
again, so intervals speak of these data sets.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from analysis.declared import less_is_better
from analysis.effects import cliffs_delta
from analysis.selection import choose_on_validation, twin
from analysis.table import check, values_of

Statistic = Callable[[np.ndarray], float]
RESAMPLES = 2000


def iqm(runs: np.ndarray) -> float:
    """The mean of the middle half of all runs: hardly moved by a lucky few, unlike the mean.

    >>> iqm(np.array([0.0, 0.5, 0.6, 5.0]))
    0.55
    """
    return float(stats.trim_mean(np.ravel(runs), 0.25))


def bootstrap(
    strata: Sequence[np.ndarray],
    statistic: Statistic,
    level: float = 0.95,
    method: Literal["percentile", "BCa"] = "percentile",
) -> tuple[float, float]:
    """An interval of a statistic of all values, each stratum drawn again by itself.

    "BCa" is bias-corrected and accelerated (Efron 1987); where it is not defined, as when a stratum
    has one value, percentiles are taken. Below some ten values a stratum both are too narrow, which
    t intervals are not.
    """
    own = [np.sort(np.asarray(stratum, dtype=float)) for stratum in strata]
    rng = np.random.default_rng(0)
    if method == "BCa" and min(map(len, own)) > 1:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            found = stats.bootstrap(
                own,
                lambda *parts: statistic(np.concatenate(parts)),
                vectorized=False,
                confidence_level=level,
                n_resamples=RESAMPLES,
                rng=rng,
            ).confidence_interval
        if np.isfinite(found.low) and np.isfinite(found.high):
            return float(found.low), float(found.high)
    drawn = [
        statistic(np.concatenate([rng.choice(part, len(part)) for part in own]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def aggregates(
    table: pd.DataFrame,
    metric: str = "test/macro_f1",
    *,
    fraction: float | None = None,
    level: float = 0.95,
    select_on: str | None = None,
) -> pd.DataFrame:
    """A row a model, the best first: n_datasets, n_runs, mean, median, iqm, iqm_low, iqm_high.

    At one label share, by default the largest; intervals are percentiles of the stratified
    bootstrap. Models that lack a data set are in no fair race with those that have it: only data
    sets that all models did are taken.
    """
    strata = runs_of(table, metric, fraction, select_on)
    rows = []
    for model, parts in strata.items():
        every = np.concatenate(parts)
        low, high = bootstrap(parts, iqm, level)
        rows.append(
            {
                "model": model,
                "n_datasets": len(parts),
                "n_runs": len(every),
                "mean": float(every.mean()),
                "median": float(np.median(every)),
                "iqm": iqm(every),
                "iqm_low": low,
                "iqm_high": high,
            }
        )
    found = pd.DataFrame(rows)
    return found.sort_values(
        ["iqm", "model"], ascending=[less_is_better(table, metric), True], ignore_index=True
    )


def profiles(
    table: pd.DataFrame,
    thresholds: Sequence[float],
    metric: str = "test/macro_f1",
    *,
    fraction: float | None = None,
    select_on: str | None = None,
) -> pd.DataFrame:
    """Performance profiles: the share of runs above each threshold, data sets weighing alike.

    A row a threshold, a column a model.
    """
    strata = runs_of(table, metric, fraction, select_on)
    shares = {
        model: [np.mean([(part > t).mean() for part in parts]) for t in thresholds]
        for model, parts in strata.items()
    }
    return pd.DataFrame(shares, index=pd.Index(thresholds, name="threshold"))


def improvement(
    table: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "test/macro_f1",
    *,
    fraction: float | None = None,
    level: float = 0.95,
    select_on: str | None = None,
) -> tuple[float, float, float]:
    """The chance that a run of `a` beats one of `b` on a data set, averaged; low and high.

    A tie counts half. One half means neither; it says how often, and not by how much.
    """
    strata = runs_of(table, metric, fraction, select_on)
    pairs = list(zip(strata[a], strata[b], strict=True))
    if less_is_better(table, metric):
        pairs = [(y, x) for x, y in pairs]
    drawn = np.random.default_rng(0)

    def chance(parts: list[tuple[np.ndarray, np.ndarray]]) -> float:
        return float(np.mean([(1 + cliffs_delta(x, y)) / 2 for x, y in parts]))

    again = [
        chance([(drawn.choice(x, len(x)), drawn.choice(y, len(y))) for x, y in pairs])
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return chance(pairs), float(low), float(high)


def runs_of(
    table: pd.DataFrame, metric: str, fraction: float | None, select_on: str | None
) -> dict[str, list[np.ndarray]]:
    """Every model's runs on each data set that all models did, in the order of data sets.

    Raises LookupError where there is no such data set.
    """
    check(table)
    share = table["fraction"].max() if fraction is None else fraction
    best = choose_on_validation(table[table["fraction"] == share], select_on or twin(metric))
    measured = values_of(best, metric).sort_values("seed")
    models = sorted(measured["model"].unique())
    done = measured.groupby(["task", "dataset"])["model"].nunique()
    places = done[done == len(models)].index
    if not len(places):
        raise LookupError(f"no data set has {metric} of every model at a label share of {share}")
    by_place = measured.set_index(["task", "dataset", "model"])["value"].sort_index()
    return {m: [by_place.loc[[(*at, m)]].sort_values().to_numpy() for at in places] for m in models}
