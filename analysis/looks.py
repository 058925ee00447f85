"""Looking at results several times, and still finding a difference where there is none only one
time in twenty.

Seeds are added until a question is decided, and every look is another chance to be wrong. So the
5 % are spent over the looks (Lan & DeMets 1983, doi:10.1093/biomet/70.3.659), nearly all of them
at the last ones: the spending function whose boundaries are like O'Brien and Fleming's. Of the
usual ones it costs the last look least, and it asks most where a test has the fewest seeds to judge
its own spread by. Looks must be fixed beforehand; that they are not evenly spaced does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)
FAR = 8.0
"""Standard deviations beyond which nothing is left to reckon with."""
LEAST = 1e-16
"""Adjusted p-values below this are given as this."""


@dataclass(frozen=True)
class Look:
    """The look of that number, the first being 1, of looks at these numbers of seeds.

    Information is taken to grow with seeds. Where seeds share cells it grows more slowly, later
    looks repeat more of earlier ones, and the error is below what is spent.
    """

    number: int
    looks: tuple[int, ...]

    def level(self, alpha: float = 0.05) -> float:
        """The two-sided p-value below which this look decides, at `alpha` over all looks.

        >>> [round(Look(i, (5, 10, 15, 20)).level(), 5) for i in (1, 2, 3, 4)]
        [1e-05, 0.00305, 0.01832, 0.044]
        """
        return alpha if len(self.looks) == 1 else 2 * levels(self.shares, alpha / 2)[-1]

    def one_sided(self, p: float) -> float:
        """The p-value that holds whenever one stops: the least alpha at which `p` decides here.

        With a single look it is p itself. Above 0.5, which decides nothing, it is 1.
        """
        if len(self.looks) == 1 or np.isnan(p):
            return p
        if p >= levels(self.shares, 0.5)[-1]:
            return 1.0
        if p <= levels(self.shares, LEAST)[-1]:
            return LEAST

        def beyond(log_alpha: float) -> float:
            level = levels(self.shares, float(np.exp(log_alpha)))[-1]
            return np.log(max(level, 1e-300)) - np.log(max(p, 1e-300))

        return float(np.exp(brentq(beyond, np.log(LEAST), np.log(0.5), xtol=1e-10)))

    def two_sided(self, p: float) -> float:
        """As `one_sided`, of a two-sided p-value; each side has half of the error to spend."""
        return p if len(self.looks) == 1 or np.isnan(p) else min(1.0, 2 * self.one_sided(p / 2))

    @property
    def shares(self) -> tuple[float, ...]:
        """The seeds of this look and those before it, as shares of all that may come."""
        return tuple(n / self.looks[-1] for n in self.looks[: self.number])


def spent(share: float, alpha: float) -> float:
    """The part of a one-sided `alpha` that is spent when a share of the information is in.

    >>> round(spent(0.5, 0.025), 4), round(spent(1, 0.025), 4)
    (0.0015, 0.025)
    """
    return float(2 * ndtr(ndtri(alpha / 2) / np.sqrt(share)))


@lru_cache(maxsize=4096)
def levels(shares: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """One-sided p-values below which each look decides, the error over all of them being `alpha`.

    By the recursion of Armitage, McPherson & Rowe (1969): sums of normal differences, of those
    comparisons that no earlier look decided. As usual, t tests are held to the same levels.
    """
    found = []
    before, gone = 0.0, 0.0
    x, density = np.zeros(1), np.ones(1)  # where the undecided are; at the start all are at zero
    for share in shares:
        step = np.sqrt(share - before)
        wanted = spent(share, alpha) - gone

        def crossing(bound: float, step=step, x=x, density=density, wanted=wanted) -> float:
            return float(density @ ndtr((x - bound) / step)) - wanted

        reach = FAR * np.sqrt(share)
        bound = brentq(crossing, -reach, 5 * reach, xtol=1e-12) if wanted > 0 else 5 * reach
        found.append(float(ndtr(-bound / np.sqrt(share))))
        top = min(bound, reach)
        here = (NODES + 1) * (top + reach) / 2 - reach
        spread = np.exp(-(((here[:, None] - x) / step) ** 2) / 2) @ density
        density = spread / (step * np.sqrt(2 * np.pi)) * WEIGHTS * (top + reach) / 2
        x, before, gone = here, share, spent(share, alpha)
    return tuple(found)
