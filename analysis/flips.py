"""Tests that flip signs: were two models alike, a seed's difference could as well be minus it.

Wilcoxon's signed ranks and the permutation test are one idea, on ranks and on values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy import stats

from analysis.intervals import Number

MOST_EXACT = 13
"""Up to so many pairs every pattern of signs is tried; beyond, random ones."""
DRAWS = 9_999


@cache
def patterns(n: int) -> np.ndarray:
    """Signs [n, patterns], the first all plus: every pattern, or a fixed random set of them."""
    if n <= MOST_EXACT:
        codes = np.arange(2**n)
        return 1.0 - 2.0 * (codes >> np.arange(n)[:, None] & 1)
    drawn = np.random.default_rng(0).integers(2, size=(n, DRAWS)) * 2.0 - 1
    whole = np.c_[np.ones(n), drawn]
    return np.c_[whole, -whole]  # with mirror images, so that swapping models changes nothing


def chance_above(values: np.ndarray) -> np.ndarray:
    """How often flipped signs give a sum at least as high as theirs; values [..., seeds]."""
    sums = values @ patterns(values.shape[-1])
    slack = 1e-9 * np.abs(values).sum(-1, keepdims=True)
    return (sums >= sums[..., :1] - slack).mean(-1)


def two_sided(values: np.ndarray) -> np.ndarray:
    """How often flipped signs give a sum at least as far from zero as theirs."""
    sums = np.abs(values @ patterns(values.shape[-1]))
    slack = 1e-9 * np.abs(values).sum(-1, keepdims=True)
    return (sums >= sums[..., :1] - slack).mean(-1)


def signed_ranks(differences: np.ndarray) -> np.ndarray:
    """The ranks of their sizes, with their signs; zeros have none."""
    rounded = np.round(differences, 12)  # ties are ties whatever the last bit says
    zeros = (rounded == 0).sum(-1, keepdims=True)
    return np.sign(rounded) * (stats.rankdata(np.abs(rounded), axis=-1) - zeros)


@dataclass(frozen=True)
class FlipEstimate:
    """The paired permutation test of the mean difference, exact up to 13 pairs (Fisher 1935).

    Its interval is the set of shifts that the test would not reject: means of subsets of the
    differences are its ends (Hartigan 1969, JASA 64:1303).
    """

    differences: np.ndarray

    df = float("nan")

    @property
    def difference(self) -> np.ndarray:
        return self.differences.mean(-1)

    @property
    def statistic(self) -> np.ndarray:
        """The mean difference itself."""
        return self.difference

    @property
    def p(self) -> Number:
        return two_sided(self.differences)

    def above(self, value: float) -> Number:
        return chance_above(self.differences - value)

    def below(self, value: float) -> Number:
        return chance_above(value - self.differences)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Low and high; infinite where so few pairs cannot reach the confidence asked for."""
        flipped = patterns(self.differences.shape[-1])[:, 1:] < 0
        sizes = flipped.sum(0)
        means = np.sort((self.differences @ flipped)[..., sizes > 0] / sizes[sizes > 0], axis=-1)
        return ends(means, int((flipped.shape[1] + 1) * (1 - level) / 2 + 1e-9))


@dataclass(frozen=True)
class RankEstimate:
    """Wilcoxon's signed-rank test, with the Hodges-Lehmann estimate and interval that go with it.

    The estimate is the median of the means of all pairs of differences (Walsh averages).
    """

    differences: np.ndarray

    df = float("nan")

    @cached_property
    def walsh(self) -> np.ndarray:
        first, second = np.triu_indices(self.differences.shape[-1])
        averages = (self.differences[..., first] + self.differences[..., second]) / 2
        return np.sort(averages, axis=-1)

    @property
    def difference(self) -> np.ndarray:
        return np.median(self.walsh, axis=-1)

    @property
    def statistic(self) -> np.ndarray:
        """The sum of the ranks of the positive differences, less that of the negative ones."""
        return signed_ranks(self.differences).sum(-1)

    @property
    def p(self) -> Number:
        """Two-sided; exact up to 13 pairs, ties or not."""
        if self.differences.shape[-1] <= MOST_EXACT:
            return two_sided(signed_ranks(self.differences))
        return stats.wilcoxon(np.round(self.differences, 12), axis=-1).pvalue

    def above(self, value: float) -> Number:
        if self.differences.shape[-1] <= MOST_EXACT:
            return chance_above(signed_ranks(self.differences - value))
        shifted = np.round(self.differences - value, 12)
        return stats.wilcoxon(shifted, alternative="greater", axis=-1).pvalue

    def below(self, value: float) -> Number:
        return RankEstimate(-self.differences).above(-value)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Low and high; infinite where so few pairs cannot reach the confidence asked for."""
        chances = signed_rank_cdf(self.differences.shape[-1])
        return ends(self.walsh, int(np.searchsorted(chances, (1 - level) / 2, side="right")))


def ends(ordered: np.ndarray, cut: int) -> tuple[np.ndarray, np.ndarray]:
    """The `cut`-th value from below and from above; infinite when `cut` is 0."""
    if cut == 0:
        nowhere = np.full(ordered.shape[:-1], np.inf)
        return -nowhere, nowhere
    return ordered[..., cut - 1], ordered[..., -cut]


def signed_rank_cdf(n: int) -> np.ndarray:
    """P(W <= w) for w = 0, 1, ..., where W is the sum of those ranks 1..n that a coin picks.

    >>> signed_rank_cdf(2).tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    chances = np.ones(1)
    for rank in range(1, n + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return chances.cumsum()
