"""Scale of normalised values: base of their logarithm, and total that each cell was scaled to.

A constant row sum after the logarithm is undone tells both (scanpy's `normalize_total`, Seurat's
`LogNormalize`). Where genes were left out after the scaling, counts are still multiples of one
number in each cell, which tells the base; and the total divided by this number is the cell's
library, a whole number, which tells the total.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from trainables.intake.finding import Finding, log_name, number
from trainables.intake.statistics import BASES, OVERFLOW, MatrixStatistics

ROUND_TARGETS = (1.0, 1e2, 1e3, 1e4, 1e5, 1e6)
TWICE = 2
"""Ratio of a cell's sum to the usual one that no rounding of values explains."""
FARTHEST = 20
"""Ratio that leaving out the genes of the largest values from the total does not reach."""


# ---- constant sums: all genes are there --------------------------------------------------------


def constant_sums(seen: MatrixStatistics, filled: np.ndarray) -> Finding | None:
    """Scale of cells that all have the same total once the right logarithm is undone."""
    if filled.sum() < 3:
        return None
    spreads = {key: spread(sums[filled]) for key, sums in seen.sums.items()}
    best = min(spreads, key=lambda key: spreads[key][0])
    distance, middle = spreads[best]
    if distance > 0.01:
        return None
    target = rounded_target(middle)
    kind = "lognorm" if best else "linear"
    found = Finding(kind, log_base=best or None, target=target)
    return others(found, seen.sums[best][filled], seen, filled)


def others(found: Finding, sums: np.ndarray, seen: MatrixStatistics, filled: np.ndarray) -> Finding:
    """The finding on values of one total per cell, with what is odd about a few of the cells."""
    target = found.target or 1.0
    larger, smaller = sums > TWICE * target, sums < target / TWICE
    if larger.any():
        return Finding(
            "unusable",
            f"has cells on different scales: most hold {found.scale}, but {larger.sum():,} cells"
            f" sum to more than {TWICE} times as much; remove those cells, or give raw counts",
        )
    if smaller.any():
        note = f"has {smaller.sum():,} cells that sum to less than half of {number(target)}"
        return replace(found, note=f"{note}; they are used as they are")
    if found.kind == "lognorm" and not_multiples(seen, filled, found.log_base or math.e):
        note = (
            f"holds {found.scale}, but not of whole counts: genes' lengths were divided out (TPM),"
            " or values were corrected, imputed or rounded; they are used as they are"
        )
        return replace(found, note=note)
    return found


def not_multiples(seen: MatrixStatistics, filled: np.ndarray, base: float) -> bool:
    """Whether most cells that can be tested hold no multiples of one number."""
    rows = [values for cell, (_, values) in seen.sample.items() if filled[cell] and len(values)]
    fits = [unit_of(np.expm1(values * math.log(base))) for values in rows]
    misfits = [fit[1] for fit in fits if fit is not None]
    return len(misfits) >= 5 and float(np.median(misfits)) > 0.1


def spread(sums: np.ndarray) -> tuple[float, float]:
    """Largest relative distance from the median among 99.5 % of the cells, and the median."""
    middle = float(np.median(sums))
    if not np.isfinite(sums).all() or middle <= 0:
        return math.inf, middle
    distance = np.abs(sums / middle - 1)
    return float(np.quantile(distance, 0.995)), middle


def rounded_target(total: float) -> float:
    """Total that was meant: a power of ten that is as good as reached, else six digits of it.

    >>> rounded_target(9998.7), rounded_target(2190.5)
    (10000.0, 2190.5)
    """
    for usual in ROUND_TARGETS:
        if math.isclose(total, usual, rel_tol=0.005):
            return usual
    return float(f"{total:.6g}")


# ---- multiples of one number: genes were left out ----------------------------------------------


def multiples(seen: MatrixStatistics, filled: np.ndarray, stated: float | None) -> Finding:
    """Scale of cells whose values, once the logarithm is undone, are multiples of one number."""
    rows = [values for cell, (_, values) in seen.sample.items() if filled[cell] and len(values)]
    if logged_twice(rows):
        return Finding(
            "unclear", "was logged twice; undo one logarithm with adata.X = numpy.expm1(adata.X)"
        )
    results = {base: units(rows, base) for base in (0.0, *BASES)}
    passing = {base: got for base, got in results.items() if got is not None}
    if not passing:
        return Finding("unclear", unknown_reason(seen), log_base=None)
    base = min(passing, key=lambda key: passing[key][1])
    near = [b for b, got in passing.items() if got[1] < 2 * passing[base][1] + 1e-4]
    if len(near) > 1:
        if stated not in near:
            return Finding("unclear", unknown_reason(seen))
        base = stated
    unit = passing[base][0]
    if base == 0.0:
        reason = "holds scaled counts that were never logged, and genes were left out since"
        return Finding("unclear", reason)
    if np.mean(np.abs(unit - 1) < 1e-3) > 0.95:
        return Finding("counts", log_base=base, exact=False)
    if seen.n_genes >= 50 and len(totals := several_totals(seen.sums[base][filled])) > 1:
        return Finding("unusable", scaled_apart(totals, base))
    low, high = np.quantile(seen.sums[base][filled], [0.025, 0.975])
    target = target_of(unit) if high < 50 * low else None  # else on more than one scale
    if target is None:
        return Finding(
            "unclear",
            f"holds {log_name(base)}(1 + scaled counts), but the total per cell that was scaled to"
            " cannot be told (genes were left out since, or cells were divided by size factors)",
            log_base=base,
            complete=False,
        )
    sums, note = seen.sums[base][filled], ""
    if far := int((sums > FARTHEST * target).sum()):
        return Finding(
            "unusable",
            f"has cells on different scales: most hold {log_name(base)}(1 + counts per"
            f" {number(target)}), but {far:,} cells sum to more than {FARTHEST} times as much;"
            " remove those cells, or give raw counts",
        )
    if more := int((sums > 1.01 * target).sum()):
        note = (
            f"has {more:,} cells that sum to more than {number(target)}, as scanpy's"
            " exclude_highly_expressed leaves them; they are used as they are"
        )
    return Finding("lognorm", log_base=base, target=target, complete=False, note=note)


def unknown_reason(seen: MatrixStatistics) -> str:
    """Reason for values of no scale that is recognised, with what may help to recognise them."""
    return (
        f"holds neither counts nor logarithms of scaled counts (values up to {seen.largest:.4g},"
        f" {seen.fractions:.0%} of them fractions)"
    )


def units(rows: list[np.ndarray], base: float) -> tuple[np.ndarray, float] | None:
    """Numbers that the cells' values are multiples of, and how badly they fit (0 to 0.25).

    None where fewer than nine of ten cells that can be tested have such a number.
    """
    found, misfits, tested = [], [], 0
    for values in rows:
        if values.max() > OVERFLOW and base:
            return None
        got = unit_of(np.expm1(values * math.log(base)) if base else values)
        if got is None:
            continue
        tested += 1
        if got[1] < 0.04:
            found.append(got[0])
            misfits.append(got[1])
    if tested < max(5, len(rows) // 5) or len(found) < 0.9 * tested:
        return None
    return np.array(found), float(np.median(misfits))


def unit_of(values: np.ndarray) -> tuple[float, float] | None:
    """Number that a cell's values are multiples of, and the mean distance of the multiples.

    None where the cell has too few different values to tell.
    """
    best: tuple[float, float] | None = None
    values = np.sort(values[values > 0])
    if len(values) < 4:
        return None
    for count in (1, 2, 3, 4):  # the smallest value is so many counts
        unit = values[0] / count
        for most in (20, 60):  # the unit becomes more precise from step to step
            multiple = values / unit
            near = values[multiple < most]
            whole = np.round(near / unit)
            unit = float(near.sum() / whole.sum())
        multiple = values[values < 60 * unit] / unit
        telling = multiple > count + 0.5
        if telling.sum() < 3:
            continue
        misfit = float(np.abs(multiple - np.round(multiple))[telling].mean())
        if best is None or misfit < best[1]:
            best = unit, misfit
        if misfit < 0.04:
            return unit, misfit
    return best


def target_of(unit: np.ndarray) -> float | None:
    """Smallest total that makes every cell's library, total / unit, a whole number.

    None where no total does, as with deep libraries, whose units are too imprecise, or with cells
    that were scaled to several totals.
    """
    unit = np.sort(unit)[::-1]
    largest = unit[:60]  # the smallest libraries are the most precise
    if len(largest) < 20:
        return None
    usual = np.array(ROUND_TARGETS[2:])
    medians = np.arange(200, 200_000, 0.5)  # a median library is a whole number or a half
    for totals, most in [(usual, 0.12), *((part, 0.06) for part in np.array_split(medians, 40))]:
        distances = to_whole(totals, largest)
        if (distances < most).any():
            total = smallest_part(float(totals[(distances < most).argmax()]), largest, most)
            at = np.array([total])
            rest = unit[60:][total / unit[60:] < 50_000]
            others = to_whole(at, rest)[0] if len(rest) else 0.0
            precise = to_whole(at, largest)[0] < 0.03
            return total if not precise or others < 0.12 else None
    return None


PRIMES = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47])


def smallest_part(total: float, unit: np.ndarray, most: float) -> float:
    """Smallest whole part of a total that still makes every library a whole number.

    Every multiple of the right total does so, too: 10,000 where cells were scaled to 2,500.
    """
    while (fits := to_whole(total / PRIMES, unit) < most).any():
        total /= int(PRIMES[fits.argmax()])
    return float(f"{total:.6g}")


def to_whole(totals: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Mean distance of the libraries total / unit from whole numbers, for each total.

    It is 0.25 for a wrong total, and 1 for one that leaves cells with no more than two counts.
    """
    library = totals[:, None] / unit
    distance = np.abs(library - np.round(library)).mean(axis=1)
    return np.where((library > 2).all(axis=1), distance, 1.0)


def logged_twice(rows: list[np.ndarray]) -> bool:
    """Whether undoing a logarithm twice gives all cells the same total."""
    if len(rows) < 3 or max(values.max() for values in rows) > 6:
        return False
    for base in BASES[:2]:
        log = math.log(base)
        once = [np.expm1(values * log) for values in rows]
        if max(values.max() for values in once) > OVERFLOW:
            continue
        if spread(np.array([np.expm1(v * log).sum() for v in once]))[0] < 0.01:
            return True
    return False


def several_totals(sums: np.ndarray) -> dict[float, int]:
    """Totals that nearly all cells have, the commonest first, and their numbers of cells.

    None where sums are spread, as they are once genes were left out.
    """
    logs = np.log(sums[np.isfinite(sums) & (sums > 0)])
    steps, cells = np.unique(np.round(logs / 5e-4), return_counts=True)
    common = cells >= max(3, 0.02 * len(sums))
    if cells[common].sum() < 0.9 * len(sums):
        return {}
    order = np.flatnonzero(common)[np.argsort(-cells[common])]
    totals: dict[float, int] = {}
    for at in order:
        total = math.exp(steps[at] * 5e-4)
        near = next((other for other in totals if math.isclose(other, total, rel_tol=2e-3)), total)
        totals[near] = totals.get(near, 0) + int(cells[at])
    return totals


def scaled_apart(totals: dict[float, int], base: float) -> str:
    """Reason for cells that were scaled to several totals."""
    (one, ones), (other, rest) = list(totals.items())[:2]
    return (
        f"has cells on different scales: after {log_name(base)} is undone, {ones:,} cells sum to"
        f" about {one:,.4g} and {rest:,} to {other:,.4g}, as batches that were scaled to their own"
        " medians; give raw counts, or scale all cells to one total"
    )


def common_total(sums: np.ndarray) -> float:
    """Share of cells that have one and the same total, if it stands out; else 0."""
    if not np.isfinite(sums).any():
        return 0.0
    logs = np.log(np.maximum(sums, 1e-9))
    finite = np.isfinite(logs)
    steps, counts = np.unique(np.round(logs[finite] / 0.002), return_counts=True)
    mode = steps[counts.argmax()] * 0.002
    within, around = (np.abs(logs - mode) < width for width in (0.003, 0.05))
    return float(within.mean()) if within.sum() > 0.7 * around.sum() else 0.0
