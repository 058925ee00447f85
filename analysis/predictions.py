"""What single test cells say: trials that kept their predictions can be compared cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PREDICTIONS = "predictions.parquet"
Predictions = Callable[[str], pd.DataFrame | None]
"""A trial's id -> its test cells with columns cell, truth, predicted; None if it kept none."""


@dataclass(frozen=True)
class CellByCell:
    """Two models on the same test cells, seed by seed."""

    covariance: np.ndarray
    """[..., seeds, seeds] of the differences, over test cells that might as well have been others;
    models as they are. Two seeds vary together in the test cells that both have."""
    only_a: np.ndarray
    """Test cells that a alone names rightly [..., seeds]."""
    only_b: np.ndarray
    cells: np.ndarray
    """Test cells in all."""
    rarity: np.ndarray
    """[..., seeds] of each seed's variance, each cell's part over the test cells of its class."""

    @property
    def variance(self) -> np.ndarray:
        """Of one seed's difference, on average."""
        return np.diagonal(self.covariance, axis1=-2, axis2=-1).mean(-1)

    @property
    def class_cells(self) -> np.ndarray:
        """Test cells of a class: the harmonic mean, each class by its part of `variance`."""
        rarity = self.rarity.mean(-1)
        return np.divide(self.variance, rarity, np.full(np.shape(rarity), np.inf), where=rarity > 0)

    @property
    def shared(self) -> np.ndarray:
        """Of the mean over seeds, were there no end of seeds: the mean covariance of two."""
        n = self.covariance.shape[-1]
        if n == 1:
            return self.variance
        return np.maximum(self.covariance.sum((-2, -1)) / n - self.variance, 0) / (n - 1)


def kept_in(storage: str | Path) -> Predictions:
    """The predictions that a storage's trials kept."""
    home = Path(storage) / "artifacts"

    @lru_cache(maxsize=128)  # a trial takes part in several comparisons
    def of(trial_id: str) -> pd.DataFrame | None:
        path = home / trial_id / PREDICTIONS
        return pd.read_parquet(path) if path.exists() else None

    return of


def cell_by_cell(
    metric: str, a: pd.DataFrame, b: pd.DataFrame, predictions: Predictions | None
) -> CellByCell | None:
    """Seed by seed, what the test cells say of a - b; None where trials kept too little to say.

    `a` and `b` are rows of the tidy table, one a seed, for the same seeds in the same order.
    Predictions count only when they give the recorded value again, so that a metric is never
    judged by the cells of another.
    """
    score = SCORES.get(metric.removeprefix("test/"))
    if predictions is None or score is None or not metric.startswith("test/") or a.empty:
        return None
    found = []
    for id_a, id_b, *told in zip(a["trial_id"], b["trial_id"], a["value"], b["value"], strict=True):
        cells_a, cells_b = predictions(id_a), predictions(id_b)
        if cells_a is None or cells_b is None:
            return None
        if (one := one_seed(score, cells_a, cells_b, told)) is None:
            return None
        found.append(one)
    adds = pd.concat([one.pop("adds") for one in found], axis=1).fillna(0.0).to_numpy()
    counts = pd.DataFrame(found)
    return CellByCell(adds.T @ adds, *(counts[name].to_numpy() for name in counts.columns))


def one_seed(
    score: Score, a: pd.DataFrame, b: pd.DataFrame, told: list[float]
) -> dict[str, Any] | None:
    """What each cell adds to a - b, and `CellByCell`'s counts; None when cells do not fit."""
    both = a.merge(b, on="cell", suffixes=("_a", "_b"), validate="one_to_one")
    if not len(both) == len(a) == len(b) or (both["truth_a"] != both["truth_b"]).any():
        return None
    names = ["truth_a", "predicted_a", "predicted_b"]
    codes, _ = pd.factorize(np.concatenate([both[name].astype(str) for name in names]))
    truth, said_a, said_b = codes.reshape(3, -1)
    (value_a, adds_a), (value_b, adds_b) = score(truth, said_a), score(truth, said_b)
    if max(abs(value_a - told[0]), abs(value_b - told[1])) > 1e-6:
        return None
    right_a, right_b = said_a == truth, said_b == truth
    won, lost = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    adds = within_classes(adds_a - adds_b, truth)
    rarity = (adds**2 / np.bincount(truth)[truth]).sum()
    counts = {"only_a": won, "only_b": lost, "cells": len(truth), "rarity": rarity}
    return {"adds": pd.Series(adds, index=both["cell"]), **counts}


def within_classes(adds: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What cells add, less their class's mean: the sum of squares is the variance of the score,
    were as many cells of each class drawn again.

    A class of one cell keeps what it adds: nothing is known of its spread.
    """
    sizes = np.maximum(np.bincount(truth), 1)
    means = (np.bincount(truth, weights=adds) / sizes)[truth]
    n = sizes[truth]
    return np.where(n == 1, adds, (adds - means) * np.sqrt(n / np.maximum(n - 1, 1)))


Score = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""True and predicted classes as whole numbers -> the score, and what each cell adds to it."""


def accuracy(truth: np.ndarray, said: np.ndarray) -> tuple[float, np.ndarray]:
    right = truth == said
    return float(right.mean()), (right - right.mean()) / len(truth)


def macro(hits: int, of_truth: int, of_said: int) -> Score:
    """The mean over true classes of hits x right / (of_truth x true + of_said x predicted).

    What a cell adds is the derivative of that by the cell's weight (the infinitesimal jackknife,
    Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, ch. 6).
    """

    def score(truth: np.ndarray, said: np.ndarray) -> tuple[float, np.ndarray]:
        n = int(max(truth.max(), said.max())) + 1
        true, predicted = np.bincount(truth, minlength=n), np.bincount(said, minlength=n)
        right = truth == said
        size = of_truth * true + of_said * predicted
        counted = (true > 0) & (size > 0)
        scale = np.where(counted, 1 / np.maximum(size, 1), 0) / (true > 0).sum()
        top = hits * np.bincount(truth[right], minlength=n)
        ratio = np.where(counted, top / np.maximum(size, 1), 0)
        adds = scale[truth] * (hits * right - of_truth * ratio[truth])
        return float((top * scale).sum()), adds - scale[said] * of_said * ratio[said]

    return score


def over_classes(metric: str) -> bool:
    """Whether a metric is a mean over classes, of which a rare one counts as any other.

    >>> over_classes("test/macro_f1"), over_classes("test/accuracy")
    (True, False)
    """
    return metric.rpartition("/")[2].startswith("macro_")


SCORES: dict[str, Score] = {
    "accuracy": accuracy,
    "macro_f1": macro(2, 1, 1),
    "macro_precision": macro(1, 0, 1),
    "macro_recall": macro(1, 1, 0),
}
