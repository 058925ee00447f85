"""A difference between two models, how uncertain it is, and what follows from that: t tests.

Arrays of scores have seeds along their last axis; one comparison is one axis long, and a simulation
has many side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import stats

Number = Any
"""A float; an array where many comparisons are made at once."""


class Estimate(Protocol):
    """What a test makes of the scores: an estimate, and chances under what might be true."""

    @property
    def difference(self) -> Number: ...
    @property
    def statistic(self) -> Number: ...
    @property
    def df(self) -> Number: ...
    @property
    def p(self) -> Number:
        """Two-sided, against no difference."""
        ...

    def above(self, value: float) -> Number:
        """One-sided p against a difference of `value` or less; `below` is its mirror image."""
        ...

    def below(self, value: float) -> Number: ...
    def interval(self, level: float = 0.95) -> tuple[Number, Number]:
        """Low and high, at the given confidence."""
        ...


def p_equivalent(estimate: Estimate, margin: float) -> Number:
    """The p-value of two one-sided tests: against a difference outside +- margin (TOST)."""
    return np.maximum(estimate.above(-margin), estimate.below(margin))


@dataclass(frozen=True)
class TEstimate:
    """A difference with a standard error and degrees of freedom: a t test and its interval."""

    difference: Number
    error: Number
    df: Number
    floor: Number = 0.0
    """The part of the error's square that more seeds leave as it is."""

    @property
    def statistic(self) -> Number:
        return self.difference / self.error

    @property
    def p(self) -> Number:
        return 2 * stats.t.sf(np.abs(self.statistic), self.df)

    def above(self, value: float) -> Number:
        return stats.t.sf((self.difference - value) / self.error, self.df)

    def below(self, value: float) -> Number:
        return stats.t.cdf((self.difference - value) / self.error, self.df)

    def interval(self, level: float = 0.95) -> tuple[Number, Number]:
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.error
        return self.difference - reach, self.difference + reach


def paired(a: np.ndarray, b: np.ndarray, extra: Number = 0.0) -> TEstimate:
    """The paired t test; `extra` corrects for splits that share cells.

    The variance of the mean of n differences is (1/n + extra) times their variance: `extra` is 0
    for independent pairs, and rho / (1 - rho) for splits whose scores correlate by rho (Nadeau &
    Bengio 2003, Inference for the generalization error, Machine Learning 52:239).

    >>> round(float(paired(np.array([0.9, 0.8, 0.9]), np.array([0.7, 0.7, 0.8])).statistic), 3)
    4.0
    """
    differences = a - b
    n = differences.shape[-1]
    variance = differences.var(axis=-1, ddof=1)
    error = np.sqrt((1 / n + extra) * variance)
    return TEstimate(differences.mean(-1), error, n - 1, extra * variance)


def seeds_and_cells(a: np.ndarray, b: np.ndarray, extra: Number, cells: Number) -> TEstimate:
    """The paired t test with what test cells that seeds share leave open, as far as it is known.

    Seeds that share cells are alike in nothing but what those cells do, so the variance that no
    number of seeds removes is at most `cells`; `extra`, as in `paired`, guesses it from the seeds'
    own scatter, which is far too much where that is mostly a network's luck. The smaller of the
    two is taken; degrees of freedom where it is `cells` are Satterthwaite's, with `cells` as known.
    """
    plain = paired(a, b)
    n = a.shape[-1]
    own = plain.error**2
    guessed = extra * own * n
    floor = np.minimum(guessed, cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        welcome = (own + floor) ** 2 / own**2 * (n - 1)
    df = np.where(guessed <= cells, n - 1, welcome)
    return TEstimate(plain.difference, np.sqrt(own + floor), df, floor)


def student(a: np.ndarray, b: np.ndarray) -> TEstimate:
    """The two-sample t test with one variance for both, as the papers used it."""
    n_a, n_b = a.shape[-1], b.shape[-1]
    df = n_a + n_b - 2
    squares = (n_a - 1) * a.var(axis=-1, ddof=1) + (n_b - 1) * b.var(axis=-1, ddof=1)
    return TEstimate(a.mean(-1) - b.mean(-1), np.sqrt(squares / df * (1 / n_a + 1 / n_b)), df)


def welch(a: np.ndarray, b: np.ndarray, extra: Number = 0.0) -> TEstimate:
    """The two-sample t test with a variance for each (Welch 1947).

    `extra` corrects each arm for splits that share cells, as in `paired`. It takes the arms for
    unrelated, so where the same cells are hard for both it is on the safe side.
    """
    n_a, n_b = a.shape[-1], b.shape[-1]
    of_a = (1 / n_a + extra) * a.var(axis=-1, ddof=1)
    of_b = (1 / n_b + extra) * b.var(axis=-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (of_a + of_b) ** 2 / (of_a**2 / (n_a - 1) + of_b**2 / (n_b - 1))
    floor = extra * (a.var(axis=-1, ddof=1) + b.var(axis=-1, ddof=1))
    return TEstimate(a.mean(-1) - b.mean(-1), np.sqrt(of_a + of_b), df, floor)
