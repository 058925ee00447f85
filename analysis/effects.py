"""How large a difference is, in units of the spread over seeds."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import gammaln

from analysis.intervals import TEstimate

EQUAL = 1e-12
"""Scores that differ by less over seeds do not vary: they are rounded differently."""


def hedges_g(
    a: np.ndarray, b: np.ndarray, estimate: TEstimate, level: float = 0.95
) -> tuple[float, float, float]:
    """Hedges' g and its interval: the difference over the pooled sd of the arms, bias-corrected.

    The sd is that of the scores within an arm, not of the paired differences, so that paired and
    unpaired studies are on one scale (Borenstein et al. 2009, Introduction to Meta-Analysis, ch.
    4). The interval is that of `estimate` in the same units: it excludes zero when the test does,
    and takes the sd for known, so at few seeds it is on the narrow side. NaN when no arm varies.
    """
    df = len(a) + len(b) - 2
    spread = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / df)
    if max(np.ptp(a), np.ptp(b)) < EQUAL:
        return float("nan"), float("nan"), float("nan")
    unit = small_sample_factor(estimate.df) / spread
    low, high = estimate.interval(level)
    return float(unit * estimate.difference), float(unit * low), float(unit * high)


def small_sample_factor(df: float) -> float:
    """What makes a standardised difference unbiased at few seeds (Hedges 1981).

    NaN at one degree of freedom, where it has no mean to correct.

    >>> round(small_sample_factor(10), 4)
    0.9227
    """
    if df <= 1:
        return float("nan")
    if df > 1e6:
        return 1.0
    return float(np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def cliffs_delta(a: np.ndarray, b: np.ndarray) -> float:
    """How much more often a score of `a` is above one of `b` than below: -1 to 1.

    The chance that a beats b, ties counting half, is (1 + delta) / 2.

    >>> cliffs_delta(np.array([0.8, 0.9]), np.array([0.7, 0.9]))
    0.25
    """
    return float(np.sign(a[:, None] - b[None]).mean())


def cliffs_delta_interval(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Low and high: asymmetric, so that they stay within -1 and 1 (Feng & Cliff 2004).

    Takes scores for independent, which seeds on shared cells are not; NaN below two an arm. Where
    one arm wins throughout there is no variance to go by, and they bound delta by the smaller arm.
    """
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return float("nan"), float("nan")
    wins = np.sign(a[:, None] - b[None])
    delta = wins.mean()
    z = stats.norm.ppf((1 + level) / 2)
    if abs(delta) == 1:
        k = min(n, m)
        low = (k - z**2) / (k + z**2)
        return (float(low), 1.0) if delta > 0 else (-1.0, float(-low))
    rows = ((wins.mean(1) - delta) ** 2).sum()
    columns = ((wins.mean(0) - delta) ** 2).sum()
    cells = ((wins - delta) ** 2).sum()
    variance = (m**2 * rows + n**2 * columns - cells) / (n * m * (n - 1) * (m - 1))
    variance = max(variance, (1 - delta**2) / (n * m - 1))
    reach = z * np.sqrt(variance) * np.sqrt((1 - delta**2) ** 2 + z**2 * variance)
    centre, size = delta - delta**3, 1 - delta**2 + z**2 * variance
    return float((centre - reach) / size), float((centre + reach) / size)
