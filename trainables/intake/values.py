"""Kind of the values of a matrix: counts, logarithms of scaled counts, or neither."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from trainables.intake.finding import Finding, log_name
from trainables.intake.scales import common_total, constant_sums, multiples
from trainables.intake.statistics import MatrixStatistics

COUNT_CEILING = 2**24
"""float32 holds every whole number up to here, and no gene of a cell has more molecules."""
DENSE = 0.9
"""Share of nonzero values above which normalised values look imputed, given 100 genes or more."""
FEWEST_CELLS = 10
"""Smallest batch whose scale is judged by itself."""


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
        if seen.whole.all():  # counts all the same, if the user says so
            clear, odd = sorted((number, other), key=lambda n: not each[n].clear)
            return Finding(
                "unclear",
                f"has batches on different scales: {names[clear]!r} holds counts, and"
                f" {names[odd]!r} {each[odd].reason}",
            )
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
        return (
            f"holds {seen.broken:,} NaN or infinite values; write 0 where they mean none, or"
            " remove those cells or genes"
        )
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
    middle = float(np.median(totals))
    # counts scatter at least as a Poisson variable does; scaled and rounded values do not
    if len(totals) >= 2 * FEWEST_CELLS and totals.var() < 0.2 * totals.mean():
        return Finding(
            "unclear",
            f"holds whole numbers, but every cell sums to about {middle:,.0f}, as values that were"
            " scaled and rounded do (downsampled counts do, too)",
        )
    sparse = filled & (seen.nonzero >= 30) & (seen.nonzero < 0.9 * seen.n_genes)
    if sparse.sum() >= FEWEST_CELLS and np.mean(seen.least[sparse] > 1.5) > 0.6:
        return Finding(
            "unclear",
            f"holds whole numbers, but most cells have none below"
            f" {np.median(seen.least[sparse]):,.0f}, as values that were scaled and rounded do",
        )
    if problem := ranks(seen, filled):
        return Finding("unclear", problem)
    note = ""
    if len(totals) >= 2 * FEWEST_CELLS and totals.std() < 0.15 * totals.mean():
        note = (
            f"gives every cell about the same total ({middle:,.0f}), as whole numbers that were"
            " scaled or corrected do (SCTransform); if they were, give the raw counts"
        )
    return Finding("counts", exact=seen.exact, note=note)


def ranks(seen: MatrixStatistics, filled: np.ndarray) -> str:
    """Reason why whole numbers are ranks of genes in each cell, or an empty text.

    Most counts of a cell are 1 and 2. Ranks are all different, or jump by the number of ties.
    """
    different, jumps = [], []
    for cell, (_, values) in seen.sample.items():
        if filled[cell] and 30 <= len(values) < 0.9 * seen.n_genes:
            levels = np.unique(np.round(values))
            different.append(len(levels) == len(values))
            jumps.append(len(levels) > 1 and levels[1] - levels[0] > 0.2 * len(values))
    if len(different) >= FEWEST_CELLS and max(np.mean(different), np.mean(jumps)) > 0.6:
        return "holds whole numbers that order the genes of each cell, as ranks do"
    return ""


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
