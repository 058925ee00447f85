"""The tests on offer: a name, what it makes of the scores, and what it cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis import intervals
from analysis.bayes import Posterior
from analysis.design import Design, left_by_splits
from analysis.flips import FlipEstimate, RankEstimate
from analysis.intervals import Estimate
from analysis.mcnemar import McNemar
from analysis.predictions import CellByCell

ROUNDING = 1e-6
"""Scores that differ by less over seeds do not vary: they are rounded differently."""


@dataclass(frozen=True)
class Scores:
    """What a test may look at. Scores are paired by seed, unless the test is of two samples."""

    a: np.ndarray
    b: np.ndarray
    metric: str
    design: Design
    cells: CellByCell | None = None


@dataclass(frozen=True)
class Offered:
    """A test: `refused` says why scores cannot be tested by it, or None."""

    estimate: Callable[[Scores], Estimate]
    refused: Callable[[Scores], str | None]
    paired: bool = True
    shared_cells: bool = False
    """Whether it allows for seeds that share cells."""


def pairs(scores: Scores) -> str | None:
    """Paired tests want pairs, and differences that vary."""
    n = len(scores.a)
    if n < 2:
        what = "batches" if scores.design.kind == "batches" else "shared seeds"
        return f"{n} of at least 2 {what}: no spread to judge a difference by"
    differences = scores.a - scores.b
    if np.ptp(differences) >= ROUNDING:
        return None
    same = np.abs(differences).max() < ROUNDING
    what = "identical scores on every seed" if same else "the same difference on every seed"
    if scores.design.kind == "whole":
        what += ": certain of these cells, and no score of single cells to say more"
    return what


def arms(scores: Scores) -> str | None:
    """Tests of two samples want both, and one that varies."""
    n = min(len(scores.a), len(scores.b))
    if n < 2:
        what = "batches" if scores.design.kind == "batches" else "seeds"
        return f"{n} of at least 2 {what} in each arm: no spread to judge a difference by"
    if np.ptp(scores.a) < ROUNDING and np.ptp(scores.b) < ROUNDING:
        return "no spread over seeds in either arm"
    return None


def sized_arms(scores: Scores) -> str | None:
    """A correction of two samples wants to know how much their splits overlap."""
    if scores.design.kind == "random" and scores.design.extra is None:
        return "no n_train and n_eval to correct for: use welch"
    return arms(scores)


def overlap(scores: Scores) -> str | None:
    """The correction for overlapping splits wants to know how much they do."""
    if scores.design.extra is None:
        return "no n_train and n_eval to correct for: use paired"
    return pairs(scores)


def known_cells(scores: Scores) -> str | None:
    """Nothing is said of cells without predictions of them."""
    if scores.cells is None:
        return f"no predictions of test cells that give {scores.metric}: use another test"
    return None


def varying_cells(scores: Scores) -> str | None:
    """Seeds must vary; on one fixed test set its cells are enough."""
    if (reason := known_cells(scores)) or len(scores.a) < 2 or scores.cells is None:
        return reason or pairs(scores)
    enough = scores.design.extra is None and scores.cells.shared > 0
    return None if enough else pairs(scores)


def contested_cells(scores: Scores) -> str | None:
    """McNemar's test is of right and wrong, and wants cells on which the models part."""
    if not scores.metric.endswith("/accuracy"):
        return f"McNemar's test counts right and wrong: ask for test/accuracy, not {scores.metric}"
    if (reason := known_cells(scores)) or scores.cells is None:
        return reason
    parted = (scores.cells.only_a + scores.cells.only_b).sum()
    return None if parted else "no test cell that one model names rightly and the other wrongly"


def corrected(scores: Scores) -> intervals.TEstimate:
    return intervals.paired(scores.a, scores.b, scores.design.extra or 0.0)


def seeds_and_cells(scores: Scores) -> intervals.TEstimate:
    """The paired t test, with what cells that seeds share leave open to their mean.

    On fixed test cells that is what predictions of different seeds have in common. On random
    splits training cells are shared too, which no predictions show: `design.left_by_splits`.
    Batches share no cells, so that this is the paired t test there.
    """
    if scores.cells is None:
        return intervals.seeds_and_cells(scores.a, scores.b, 0.0)
    left = scores.cells.shared
    if scores.design.share is not None:
        alike = scores.design.share * scores.cells.variance
        left = left_by_splits(left, alike, scores.cells.class_cells)
    return intervals.seeds_and_cells(scores.a, scores.b, left)


def mcnemar(scores: Scores) -> McNemar:
    found = scores.cells
    assert found is not None  # contested_cells has refused
    return McNemar(found.only_a, found.only_b, found.cells)


OFFERED = {
    "paired": Offered(lambda s: intervals.paired(s.a, s.b), pairs),
    "welch": Offered(lambda s: intervals.welch(s.a, s.b), arms, paired=False),
    "student": Offered(lambda s: intervals.student(s.a, s.b), arms, paired=False),
    "corrected-welch": Offered(
        lambda s: intervals.corrected_welch(s.a, s.b, s.design.extra or 0.0),
        sized_arms,
        paired=False,
        shared_cells=True,
    ),
    "wilcoxon": Offered(lambda s: RankEstimate(s.a - s.b), pairs),
    "permutation": Offered(lambda s: FlipEstimate(s.a - s.b), pairs),
    "nadeau-bengio": Offered(corrected, overlap, shared_cells=True),
    "seeds-and-cells": Offered(seeds_and_cells, varying_cells, shared_cells=True),
    "bayes": Offered(lambda s: Posterior(corrected(s)), pairs, shared_cells=True),
    "mcnemar": Offered(mcnemar, contested_cells, shared_cells=True),
}

TESTS = ("auto", *OFFERED)
