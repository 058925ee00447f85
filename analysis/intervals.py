"""A difference between two models, how uncertain it is, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class TEstimate:
    """A difference with a standard error and degrees of freedom: a t test and its interval."""

    difference: float
    error: float
    df: float

    @property
    def statistic(self) -> float:
        return self.difference / self.error

    @property
    def p(self) -> float:
        """Two-sided, against no difference."""
        return float(2 * stats.t.sf(abs(self.statistic), self.df))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Low and high, at the given confidence."""
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.error
        return float(self.difference - reach), float(self.difference + reach)


def paired(a: np.ndarray, b: np.ndarray, extra: float = 0.0) -> TEstimate:
    """The paired t test of two equally long arrays of scores; `extra` corrects for shared cells.

    The variance of the mean of n differences is (1/n + extra) times their variance: `extra` is 0
    for independent pairs, and rho / (1 - rho) for splits whose scores correlate by rho (Nadeau &
    Bengio 2003, Inference for the generalization error, Machine Learning 52:239).

    >>> round(paired(np.array([0.9, 0.8, 0.9]), np.array([0.7, 0.7, 0.8])).statistic, 3)
    4.0
    """
    differences = a - b
    n = len(differences)
    error = np.sqrt((1 / n + extra) * differences.var(ddof=1))
    return TEstimate(float(differences.mean()), float(error), n - 1)


def student(a: np.ndarray, b: np.ndarray) -> TEstimate:
    """The two-sample t test with one variance for both, as the papers used it."""
    df = len(a) + len(b) - 2
    pooled = ((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / df
    error = np.sqrt(pooled * (1 / len(a) + 1 / len(b)))
    return TEstimate(float(a.mean() - b.mean()), float(error), df)


def welch(a: np.ndarray, b: np.ndarray) -> TEstimate:
    """The two-sample t test with a variance for each (Welch 1947)."""
    parts = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    df = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    return TEstimate(float(a.mean() - b.mean()), float(np.sqrt(sum(parts))), float(df))


@dataclass(frozen=True)
class RankEstimate:
    """Wilcoxon's signed-rank test, with the Hodges-Lehmann estimate and interval that go with it.

    The estimate is the median of the means of all pairs of differences (Walsh averages).
    """

    differences: np.ndarray

    df = float("nan")

    @cached_property
    def walsh(self) -> np.ndarray:
        first, second = np.triu_indices(len(self.differences))
        return np.sort((self.differences[first] + self.differences[second]) / 2)

    @property
    def difference(self) -> float:
        return float(np.median(self.walsh))

    @property
    def statistic(self) -> float:
        """The sum of the ranks of the positive differences, less that of the negative ones."""
        rounded = self.differences.round(12)
        return float((np.sign(rounded) * stats.rankdata(np.abs(rounded))).sum())

    @property
    def p(self) -> float:
        """Two-sided; exact up to 13 pairs, ties or not."""
        rounded = self.differences.round(12)  # ties are ties whatever the last bit says
        # 2**13 sign changes are fewer than PermutationMethod's 9,999 draws, so it takes them all
        method = stats.PermutationMethod() if len(rounded) <= 13 else "auto"
        return float(stats.wilcoxon(rounded, method=method).pvalue)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Low and high; infinite where so few pairs cannot reach the confidence asked for."""
        n = len(self.differences)
        cut = int(np.searchsorted(signed_rank_cdf(n), (1 - level) / 2, side="right"))
        if cut == 0:
            return float("-inf"), float("inf")
        return float(self.walsh[cut - 1]), float(self.walsh[-cut])


def signed_rank_cdf(n: int) -> np.ndarray:
    """P(W <= w) for w = 0, 1, ..., where W is the sum of those ranks 1..n that a coin picks.

    >>> signed_rank_cdf(2).tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    chances = np.ones(1)
    for rank in range(1, n + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return chances.cumsum()


Estimate = TEstimate | RankEstimate
