"""p-values of many questions, adjusted for there being many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values, of which any false one is below alpha in a share of at most alpha.

    Holm 1979, doi:10.2307/4615733.

    >>> holm(np.array([0.03, 0.01, 0.04])).tolist()
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(p)
    steps = np.arange(len(p), 0, -1) * p[order]
    found = np.empty(len(p))
    found[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return found


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values, of which those below alpha hold a share of at most alpha false ones."""
    from scipy.stats import false_discovery_control

    return false_discovery_control(p)


def level_of_one(
    method: Callable[[np.ndarray], np.ndarray], p: pd.Series, i: int, alpha: float
) -> float:
    """The p-value that the question of index i must come under, those of the others as they are.

    `alpha` where it is not among them, as a question without a p-value is not.

    >>> p = pd.Series([0.001, 0.02, 0.9])
    >>> round(level_of_one(holm, p, 1, 0.05), 6), round(level_of_one(holm, p, 0, 0.05), 6)
    (0.025, 0.016667)
    """
    if i not in p.index:
        return alpha
    low, high = 0.0, alpha
    for _ in range(50):
        middle = (low + high) / 2
        tried = p.where(p.index != i, middle).to_numpy(float)
        if method(tried)[p.index.get_loc(i)] < alpha:
            low = middle
        else:
            high = middle
    return high


CORRECTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
    "none": lambda p: p,
}
"""Holm keeps the chance of any false verdict below alpha; Benjamini-Hochberg keeps the share of
false ones among those given below it, where p-values do not depend negatively."""
