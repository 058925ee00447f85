"""How large a difference is, in units of the spread over seeds."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from analysis.intervals import TEstimate


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
    if spread == 0:
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
