"""How many seeds a question would have needed."""

from __future__ import annotations

import numpy as np
from scipy import stats

MOST_SEEDS = 1000
POWER = 0.8
EFFICIENCY = {"wilcoxon": 3 / np.pi, "permutation": 1.0}
"""What tests that flip signs make of a normal sample, in t-test seeds (Lehmann 1975)."""


def seeds_needed(
    test: str, a: np.ndarray, b: np.ndarray, *, alpha: float = 0.05, floor: float = 0.0
) -> int | None:
    """The fewest seeds at which `test` would find this difference four times in five.

    Takes the observed difference and variances for the true ones, so it is a hint and no promise.
    None when `MOST_SEEDS` are not enough, as when cells that seeds share leave a variance
    (`floor`, see intervals.TEstimate) that no number of seeds gets under.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    error, df = error_at(test, n, a, b, floor)
    power = t_power(abs(a.mean() - b.mean()) / error, df, alpha)
    enough = n[power >= POWER]
    if not len(enough):
        return None
    if test in EFFICIENCY:
        fewest = int(np.ceil(1 - np.log2(alpha)))  # below it, no p-value is under alpha
        needed = max(fewest, int(np.ceil(enough[0] / EFFICIENCY[test])))
        return needed if needed <= MOST_SEEDS else None
    return int(enough[0])


def outlook(
    test: str, a: np.ndarray, b: np.ndarray, floor: float, batches: bool, alpha: float
) -> tuple[int | None, str]:
    """`seeds_needed`, and what to say where there are none.

    Scores of `batches` that are left out one by one need more batches, which no seed adds.
    """
    needed = seeds_needed(test, a, b, alpha=alpha, floor=floor)
    if batches:
        many = f"more than {MOST_SEEDS}" if needed is None else f"about {needed}"
        return None, f"a difference of this size takes {many} batches, and no seed adds a batch"
    if needed is not None:
        return needed, ""
    if floor and out_of_reach(a, b, floor, alpha):
        return None, "more seeds cannot decide this: more test cells can"
    return None, f"more than {MOST_SEEDS} seeds would be needed"


def error_at(
    test: str, n: np.ndarray, a: np.ndarray, b: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """The standard error of the difference, and the degrees of freedom, at each number of seeds."""
    if test in {"welch", "student", "corrected-welch"}:
        va, vb = a.var(ddof=1), b.var(ddof=1)
        share = 2.0 if test == "student" else (va + vb) ** 2 / (va**2 + vb**2)
        return np.sqrt((va + vb) / n + floor), share * (n - 1)
    return np.sqrt((a - b).var(ddof=1) / n + floor), n - 1.0


def t_power(shift: np.ndarray, df: np.ndarray, alpha: float) -> np.ndarray:
    """The chance that a two-sided t test is significant, when t is `shift` away from zero.

    >>> t_power(np.array([0.0, 2.8]), np.array([1000.0, 1000.0]), 0.05).round(2).tolist()
    [0.05, 0.8]
    """
    critical = stats.t.ppf(1 - alpha / 2, df)
    above = stats.nct.sf(critical, df, shift)
    below = stats.nct.cdf(-critical, df, shift)
    # scipy gives NaN far out, where the outcome is certain
    return np.nan_to_num(above, nan=1.0) + np.nan_to_num(below, nan=0.0)


def out_of_reach(a: np.ndarray, b: np.ndarray, floor: float, alpha: float = 0.05) -> bool:
    """Whether even infinitely many seeds would leave the test without enough power."""
    wanted = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER)
    return bool(abs(a.mean() - b.mean()) < wanted * np.sqrt(floor))
