"""What single test cells say: trials that kept their predictions can be compared cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PREDICTIONS = "predictions.parquet"
CELLS = ["cell", "truth", "predicted"]
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


def kept_in(
    storage: str | Path, run_again: Callable[[str], None] = lambda trial_id: None
) -> Predictions:
    """The predictions that a storage's trials kept.

    A trial whose file cannot be read is handed to `run_again`, which lets the next run of its sweep
    make the file again.
    """
    home = Path(storage) / "artifacts"

    @lru_cache(maxsize=128)  # a trial takes part in several comparisons
    def of(trial_id: str) -> pd.DataFrame | None:
        path = home / trial_id / PREDICTIONS
        if not path.exists():
            return None
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError):  # pyarrow's own errors are among these
            run_again(trial_id)
            raise ValueError(
                f"the predictions of trial {trial_id} cannot be read"
                f" (artifacts/{trial_id}/{PREDICTIONS}): run its sweep again, which makes them"
                " again, or compare scores alone (--test paired)"
            ) from None

    return of


def cell_by_cell(
    metric: str, a: pd.DataFrame, b: pd.DataFrame, predictions: Predictions | None
) -> CellByCell | None:
    """Seed by seed, what the test cells say of a - b; None where trials kept too little to say.

    `a` and `b` are rows of the tidy table, one a seed, for the same seeds in the same order.
    Raises ValueError, naming the trial, where predictions are damaged or do not give the recorded
    value again.
    """
    name = metric.removeprefix("test/")
    if predictions is None or name not in SCORES or name == metric or a.empty:
        return None
    scores = [of[name] for of in (SCORES, OVER_EITHER) if name in of]
    found = []
    for in_a, in_b in zip(kept_by(a, predictions), kept_by(b, predictions), strict=True):
        if in_a.cells is None or in_b.cells is None:
            return None
        found.append(one_seed(metric, scores, in_a, in_b))
    adds = pd.concat([one.pop("adds") for one in found], axis=1).fillna(0.0).to_numpy()
    counts = pd.DataFrame(found)
    return CellByCell(adds.T @ adds, *(counts[name].to_numpy() for name in counts.columns))


@dataclass(frozen=True)
class Kept:
    """What one trial kept: its test cells, if any, beside the score that it recorded."""

    trial_id: str
    value: float
    cells: pd.DataFrame | None


def kept_by(arm: pd.DataFrame, predictions: Predictions) -> list[Kept]:
    """What each trial of an arm kept.

    Raises ValueError, naming the trial, where that is no table of cells.
    """
    own = arm["own_value"] if "own_value" in arm else arm["value"]
    return [
        Kept(trial, value, checked(trial, predictions(trial)))
        for trial, value in zip(arm["trial_id"], own, strict=True)
    ]


def checked(trial_id: str, cells: pd.DataFrame | None) -> pd.DataFrame | None:
    """The same cells. Raises ValueError where columns, cells or names are missing or double."""
    if cells is None:
        return None
    if lacking := [name for name in CELLS if name not in cells]:
        wrong = f"have no column {lacking[0]!r}"
    elif cells.empty or cells[CELLS].isna().any(axis=None):
        wrong = "have empty places"
    elif cells["cell"].duplicated().any():
        wrong = f"have the cell {cells.loc[cells['cell'].duplicated(), 'cell'].iloc[0]!r} twice"
    else:
        return cells
    raise ValueError(
        f"the predictions of trial {trial_id} {wrong}: put artifacts/{trial_id}/{PREDICTIONS} back"
        " from a copy of the storage, or compare scores alone (--test paired)"
    )


def paired_cells(a: Kept, b: Kept) -> pd.DataFrame:
    """The test cells of two trials side by side.

    Raises ValueError where the trials were not tested on the same cells.
    """
    assert a.cells is not None
    assert b.cells is not None
    both = a.cells.merge(b.cells, on="cell", suffixes=("_a", "_b"))
    if not len(both) == len(a.cells) == len(b.cells):
        what = "different cells"
    elif (both["truth_a"].astype(str) != both["truth_b"].astype(str)).any():
        what = "the same cells with other labels"
    else:
        return both
    raise ValueError(
        f"the trials {a.trial_id} and {b.trial_id} of one seed were tested on {what}, so they are"
        " no pair: run one of them again in a fresh storage"
    )


def one_seed(metric: str, scores: Sequence[Score], a: Kept, b: Kept) -> dict[str, Any]:
    """What each cell adds to a - b, and `CellByCell`'s counts."""
    both = paired_cells(a, b)
    names = ["truth_a", "predicted_a", "predicted_b"]
    codes, _ = pd.factorize(np.concatenate([both[name].astype(str) for name in names]))
    truth, said_a, said_b = codes.reshape(3, -1)
    adds_a, adds_b = (
        as_recorded(metric, [score(truth, said) for score in scores], kept)
        for said, kept in ((said_a, a), (said_b, b))
    )
    right_a, right_b = said_a == truth, said_b == truth
    won, lost = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    adds = within_classes(adds_a - adds_b, truth)
    rarity = (adds**2 / np.bincount(truth)[truth]).sum()
    counts = {"only_a": won, "only_b": lost, "cells": len(truth), "rarity": rarity}
    return {"adds": pd.Series(adds, index=both["cell"]), **counts}


def as_recorded(metric: str, found: Sequence[tuple[float, np.ndarray]], kept: Kept) -> np.ndarray:
    """What cells add, by that definition of the score which gives the recorded value.

    Raises ValueError where none does.
    """
    for value, adds in found:
        if abs(value - kept.value) <= 1e-6:
            return adds
    raise ValueError(
        f"trial {kept.trial_id} recorded {metric} = {kept.value:.6f}, and its own predictions give"
        f" {found[0][0]:.6f}: one of the two is damaged; run the trial again in a fresh storage,"
        " or compare scores alone (--test paired)"
    )


def identical(a: pd.DataFrame, b: pd.DataFrame, predictions: Predictions | None) -> bool:
    """Whether all trials kept predictions, and those of two arms are the same at every seed.

    Rows as in `cell_by_cell`; raises as it does.
    """
    if predictions is None or a.empty:
        return False
    for in_a, in_b in zip(kept_by(a, predictions), kept_by(b, predictions), strict=True):
        if in_a.cells is None or in_b.cells is None:
            return False
        both = paired_cells(in_a, in_b)
        if (both["predicted_a"].astype(str) != both["predicted_b"].astype(str)).any():
            return False
    return True


def without_predictions(a: pd.DataFrame, b: pd.DataFrame, predictions: Predictions | None) -> str:
    """A note where some trials of two arms kept predictions and others did not."""
    if predictions is None:
        return ""
    trials = [*a["trial_id"], *b["trial_id"]]
    lacking = [trial for trial in trials if predictions(trial) is None]
    if not 0 < len(lacking) < len(trials):
        return ""
    return f"scores alone are compared: trial {lacking[0]} kept no predictions of its test cells"


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


def macro(hits: int, of_truth: int, of_said: int, *, either: bool = False) -> Score:
    """The mean over classes of hits x right / (of_truth x true + of_said x predicted).

    Classes are those of the truth; with `either` those of the predictions too, as in
    scikit-learn's default and under the paper's protocol.

    What a cell adds is the derivative of that by the cell's weight (the infinitesimal jackknife,
    Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, ch. 6).
    """

    def score(truth: np.ndarray, said: np.ndarray) -> tuple[float, np.ndarray]:
        n = int(max(truth.max(), said.max())) + 1
        true, predicted = np.bincount(truth, minlength=n), np.bincount(said, minlength=n)
        right = truth == said
        size = of_truth * true + of_said * predicted
        counted = (true > 0) & (size > 0)
        classes = ((true > 0) | (either & (predicted > 0))).sum()
        scale = np.where(counted, 1 / np.maximum(size, 1), 0) / classes
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
    return metric.rpartition("/")[2] in OVER_EITHER


SCORES: dict[str, Score] = {
    "accuracy": accuracy,
    "macro_f1": macro(2, 1, 1),
    "macro_precision": macro(1, 0, 1),
    "macro_recall": macro(1, 1, 0),
}
OVER_EITHER: dict[str, Score] = {
    "macro_f1": macro(2, 1, 1, either=True),
    "macro_precision": macro(1, 0, 1, either=True),
    "macro_recall": macro(1, 1, 0, either=True),
}
"""The other definition in use; the recorded value says which of the two a trial took."""
