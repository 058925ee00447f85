"""Kind of the values of a matrix: counts, logarithms of scaled counts, or something to ask about.

A constant row sum after the logarithm is undone tells its base and the total that each cell was
scaled to (scanpy's `normalize_total`, Seurat's `LogNormalize`). Where genes were left out after the
scaling, counts are still multiples of one number in each cell, which tells the base; and the total
divided by this number is the cell's library, a whole number, which tells the total.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trainables.intake.statistics import BASES, OVERFLOW, MatrixStatistics

Kind = Literal["counts", "lognorm", "linear", "unclear", "unusable"]
LIBRARY_SIZE = 1e4
"""Total counts that every prepared cell is scaled to (Seurat's and scanpy's usual choice)."""
COUNT_CEILING = 2**24
"""float32 holds every whole number up to here, and no gene of a cell has more molecules."""
ROUND_TARGETS = (1.0, 1e2, 1e3, 1e4, 1e5, 1e6)
DENSE = 0.9
"""Share of nonzero values above which normalised values look imputed, given 100 genes or more."""
FEWEST_CELLS = 10
"""Smallest batch whose scale is judged by itself."""


@dataclass(frozen=True)
class Finding:
    """Kind of the values of a matrix, and how sure it is."""

    kind: Kind
    reason: str = ""
    """For "unclear" and "unusable": the part of a sentence that follows the matrix's name."""
    log_base: float | None = None
    """Base of the logarithm; with kind "counts": the values are log(1 + counts)."""
    target: float | None = None
    """Total that each cell was scaled to, over all its genes."""
    complete: bool = True
    """Whether the genes of the matrix hold the whole library of each cell."""
    exact: bool = True
    """Whether counts are exactly whole numbers; else they are rounded."""

    @property
    def clear(self) -> bool:
        """Whether the values tell by themselves what they are."""
        return self.kind in ("counts", "lognorm", "linear")

    @property
    def scale(self) -> str:
        """Scale in words, such as "log2(1 + counts per 1,000,000)"."""
        if self.kind == "counts":
            return f"{log_name(self.log_base)}(1 + counts)" if self.log_base else "counts"
        per = "counts" if self.target is None else f"counts per {number(self.target)}"
        return f"{log_name(self.log_base)}(1 + {per})" if self.log_base else f"{per}, not logged"


def number(value: float) -> str:
    """A number with its thousands apart.

    >>> number(1e6), number(2190.5)
    ('1,000,000', '2,190.5')
    """
    return f"{value:,.0f}" if value == round(value) else f"{value:,.6g}"


def log_name(base: float | None) -> str:
    """Name of the logarithm to a base.

    >>> log_name(2.0), log_name(math.e)
    ('log2', 'ln')
    """
    return "ln" if base is None or math.isclose(base, math.e) else f"log{base:g}"


def judge(
    seen: MatrixStatistics, groups: np.ndarray, names: list[str], stated: float | None = None
) -> Finding:
    """Kind of the values of a matrix whose cells belong to batches.

    `groups` holds the batch number of each cell and `names` the names of the batches; `stated` is
    the base of the logarithm that the file states. Batches on different scales are unusable.
    """
    if problem := impossible(seen):
        return Finding("unusable", problem)
    everyone = np.ones(len(seen.nonzero), dtype=bool)
    together = judge_cells(seen, everyone, stated)
    filled = np.bincount(groups[seen.nonzero > 0], minlength=len(names))
    batches = [number for number in range(len(names)) if filled[number] >= FEWEST_CELLS]
    if len(batches) < 2 or (together.kind == "lognorm" and together.complete):
        return mixed_without_batches(seen, together)
    each = {number: judge_cells(seen, groups == number, stated) for number in batches}
    first = next((number for number, found in each.items() if found.clear), None)
    if first is None:
        return mixed_without_batches(seen, together)
    reference = together if together.clear else each[first]
    for number, found in each.items():
        if found.clear and alike(found, reference):
            continue
        if not found.clear and together.kind == "lognorm":  # too few values to tell by itself
            continue
        other = first if number != first else next(n for n in batches if n != first)
        return Finding("unusable", different(names, each, other, number))
    return reference


def different(names: list[str], each: dict[int, Finding], one: int, other: int) -> str:
    """Reason for two batches on different scales."""
    scales = [
        each[number].scale if each[number].clear else "values of another kind"
        for number in (one, other)
    ]
    return (
        f"has batches on different scales: {names[one]!r} holds {scales[0]} and {names[other]!r}"
        f" {scales[1]}; give the same kind of values, best raw counts, in all batches"
    )


def alike(one: Finding, other: Finding) -> bool:
    """Whether two batches are on one scale."""
    if (one.kind, one.log_base) != (other.kind, other.log_base):
        return False
    if one.target is None or other.target is None:
        return one.target is other.target
    return math.isclose(one.target, other.target, rel_tol=0.01)


def impossible(seen: MatrixStatistics) -> str:
    """Reason why values are no expression at all, or an empty text."""
    if seen.broken:
        return f"holds {seen.broken:,} NaN or infinite values; remove those cells or genes"
    if seen.smallest < -1e-3:
        return (
            f"holds negative values (down to {seen.smallest:.4g}), as scaled, centred or"
            " batch-corrected data do"
        )
    if not seen.nonzero.any():
        return "holds nothing but zeros"
    return ""


def judge_cells(seen: MatrixStatistics, cells: np.ndarray, stated: float | None) -> Finding:
    """Kind of the values of some cells (a mask) that are neither negative nor broken."""
    filled = cells & (seen.nonzero > 0)
    if not filled.any():
        return Finding("unclear", "holds nothing but zeros")
    if seen.whole[filled].all():
        return judge_whole(seen, filled)
    found = constant_sums(seen, filled) or multiples(seen, filled, stated)
    if found.kind in ("lognorm", "linear") and seen.density > DENSE and seen.n_genes >= 100:
        return Finding(
            "unclear",
            f"is normalised but {seen.density:.0%} of its values are not zero, as imputation or a"
            " model's output leaves them (MAGIC, scVI)",
            log_base=found.log_base,
        )
    return found


def judge_whole(seen: MatrixStatistics, filled: np.ndarray) -> Finding:
    """Kind of whole numbers: counts, unless they are too large, 0 and 1, or scaled."""
    if seen.largest > COUNT_CEILING:
        return Finding(
            "unusable",
            f"holds counts up to {seen.largest:.4g}, and no gene of a cell has more than"
            f" {COUNT_CEILING:,} molecules; give one row per cell, with raw counts",
        )
    if seen.largest < 1.5 and filled.sum() >= FEWEST_CELLS:
        return Finding("unclear", "holds 0 and 1 only, as counts turned into yes or no do")
    totals = seen.totals[filled]
    # counts scatter at least as a Poisson variable does; scaled and rounded values do not
    if len(totals) >= 2 * FEWEST_CELLS and totals.var() < 0.2 * totals.mean():
        return Finding(
            "unclear",
            f"holds whole numbers, but every cell sums to about {np.median(totals):,.0f}, as"
            " values that were scaled and rounded do (downsampled counts do, too)",
        )
    return Finding("counts", exact=seen.exact)


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
    if best:
        return Finding("lognorm", log_base=best, target=target)
    return Finding("linear", target=target)


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
    low, high = np.quantile(seen.sums[base][filled], [0.025, 0.975])
    target = target_of(unit) if high < 50 * low else None  # else on more than one scale
    if target is None:
        return Finding(
            "unclear",
            f"holds {log_name(base)}(1 + scaled counts), but genes were left out since, and the"
            " total per cell that was scaled to cannot be told",
            log_base=base,
            complete=False,
        )
    return Finding("lognorm", log_base=base, target=target, complete=False)


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
            at = int((distances < most).argmax())
            total = totals[at : at + 1]
            rest = unit[60:][total / unit[60:] < 50_000]
            others = to_whole(total, rest)[0] if len(rest) else 0.0
            precise = distances[at] < 0.03
            return float(total[0]) if not precise or others < 0.12 else None
    return None


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


def mixed_without_batches(seen: MatrixStatistics, together: Finding) -> Finding:
    """The finding, or a better reason where some cells are on a scale and the others are not."""
    if together.kind != "unclear":
        return together
    filled = seen.nonzero > 0
    shares = {"raw counts": float(seen.whole[filled].mean())}
    for key, sums in seen.sums.items():
        undone = f" after {log_name(key)} is undone" if key else ""
        shares[f"values that sum to one total{undone}"] = common_total(sums[filled])
    name, share = max(shares.items(), key=lambda item: item[1])
    if 0.15 < share < 0.995 and filled.sum() >= 40:
        return replace(
            together,
            kind="unusable",
            reason=f"has cells on different scales: {share:.0%} of them hold {name} and the others"
            " do not; give the same kind of values, best raw counts, in all",
        )
    return together


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
