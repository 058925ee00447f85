"""McNemar's test: on how many cells is one of two trained models right and the other wrong?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class McNemar:
    """Cells that only one of two trained models names rightly, counted seed by seed [..., seeds].

    It takes the trained models as they are and asks whether they would differ on new cells; that
    another training might have come out otherwise is not its business. Seeds share cells, so their
    p-values are not independent and are not multiplied: the k-th smallest of n times n/k, with k
    more than half of n, holds whatever their dependence (Rueger 1978, Metrika 25:171). Each
    direction has its own combination, so that seeds that contradict each other prove nothing.
    """

    only_a: np.ndarray
    only_b: np.ndarray
    cells: np.ndarray
    """Test cells of each seed."""

    df = float("nan")

    @property
    def difference(self) -> np.ndarray:
        """In accuracy, over seeds."""
        return ((self.only_a - self.only_b) / self.cells).mean(-1)

    @property
    def statistic(self) -> np.ndarray:
        """Cells won less cells lost, over all seeds."""
        return (self.only_a - self.only_b).sum(-1)

    @property
    def p(self) -> np.ndarray:
        """Two-sided, of exact binomial mid-p-values (Fagerland et al. 2013)."""
        return np.minimum(1.0, 2 * np.minimum(self.above(0.0), self.below(0.0)))

    def above(self, value: float) -> np.ndarray:
        if value == 0:
            return ruger(mid_p(self.only_a, self.only_a + self.only_b))
        return ruger(stats.norm.sf((self._shares() - value) / self._errors()))

    def below(self, value: float) -> np.ndarray:
        return McNemar(self.only_b, self.only_a, self.cells).above(-value)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """What each seed's interval says at its part of the risk, combined as the p-values are."""
        n, k = self.only_a.shape[-1], majority(self.only_a.shape[-1])
        reach = stats.norm.isf((1 - level) / 2 * k / n) * self._errors()
        low, high = self._shares() - reach, self._shares() + reach
        return np.sort(low, axis=-1)[..., -k], np.sort(high, axis=-1)[..., k - 1]

    def _shares(self) -> np.ndarray:
        """Differences in accuracy, each seed's drawn a little to zero (Bonett & Price 2012)."""
        return (self.only_a - self.only_b) / (self.cells + 2)

    def _errors(self) -> np.ndarray:
        both = (self.only_a + self.only_b + 2) / (self.cells + 2)
        return np.sqrt((both - self._shares() ** 2) / (self.cells + 2))


def mid_p(wins: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The chance of more heads in `of` throws, and half that of as many.

    >>> float(mid_p(np.array(2), np.array(2)))
    0.125
    """
    return np.asarray(stats.binom.sf(wins, of, 0.5) + stats.binom.pmf(wins, of, 0.5) / 2)


def majority(n: int) -> int:
    """How many of n seeds are more than half."""
    return n // 2 + 1


def ruger(p: np.ndarray) -> np.ndarray:
    """p-values of the same question along the last axis, combined whatever their dependence.

    >>> float(ruger(np.array([0.01, 0.02, 0.9])))
    0.03
    """
    n, k = p.shape[-1], majority(p.shape[-1])
    return np.minimum(1.0, np.sort(p, axis=-1)[..., k - 1] * n / k)
