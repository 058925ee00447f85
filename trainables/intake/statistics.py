"""Statistics of a matrix, cell by cell, in one pass over blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from trainables.duplicates import row_hashes
from trainables.matrices import kept_blocks

BASES = (math.e, 2.0, 10.0)
"""Bases of the logarithms that single-cell packages take (scanpy and Seurat; scran; others)."""
WHOLE = 1e-3
"""Largest distance from a whole number that storage or rounding errors leave."""
OVERFLOW = 60.0
"""Values above this are no logarithms of expression; their powers would overflow."""
SAMPLE = 4000
"""Largest number of cells whose values are kept to be looked at one by one."""


@dataclass
class MatrixStatistics:
    """Sums and extremes of each kept cell of a matrix, and the values of a sample of cells.

    Every array has one entry a cell.
    """

    n_genes: int
    nonzero: np.ndarray
    """Number of values that are not zero."""
    whole: np.ndarray
    """Whether every value lies within `WHOLE` of a whole number."""
    exact: bool
    """Whether every value is exactly a whole number."""
    least: np.ndarray
    """Smallest value of each cell that is not zero; infinite for empty cells."""
    smallest: float
    largest: float
    broken: int
    """Number of NaN or infinite values."""
    fractions: float
    """Share of the nonzero values that are not whole."""
    sums: dict[float, np.ndarray]
    """By base: sums of base**value - 1. Key 0: sums of the values themselves."""
    hashes: np.ndarray
    """Hash of the genes and values of each cell; 0 for empty cells."""
    sample: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """By number of the kept cell: its genes and their values."""

    @property
    def totals(self) -> np.ndarray:
        """Sum of the values of each cell."""
        return self.sums[0.0]

    @property
    def density(self) -> float:
        """Share of the values that are not zero."""
        return float(self.nonzero.sum() / max(1, len(self.nonzero) * self.n_genes))


def sampled(groups: np.ndarray) -> np.ndarray:
    """Mask of the cells to look at one by one, spread evenly over each group.

    `groups` holds the number of each cell's batch.
    """
    mask = np.zeros(len(groups), dtype=bool)
    numbers, first = np.unique(groups, return_inverse=True)
    each = max(10, min(400, SAMPLE // max(1, len(numbers))))
    for number in range(len(numbers)):
        rows = np.flatnonzero(first == number)
        mask[rows[np.unique(np.linspace(0, len(rows) - 1, each).astype(int))]] = True
    return mask


def gene_blocks(
    matrix: Any, kept: np.ndarray, columns: np.ndarray, scratch: Path
) -> Iterator[sparse.csr_matrix]:
    """Kept cells (a mask) and genes (a mask) of a matrix, some cells at a time, in order."""
    for block in kept_blocks(matrix, kept, scratch):
        yield block if columns.all() else sparse.csr_matrix(block[:, columns])


def measure(
    matrix: Any, kept: np.ndarray, columns: np.ndarray, groups: np.ndarray, scratch: Path
) -> MatrixStatistics:
    """Statistics of the kept cells and genes (masks) of a matrix.

    `groups` holds the batch number of each kept cell: the sample is spread over batches. Memory
    does not grow with the number of values.
    """
    chosen = sampled(groups)
    parts: list[dict[str, Any]] = []
    sample: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    start = 0
    for block in gene_blocks(matrix, kept, columns, scratch):
        parts.append(block_statistics(block))
        for row in np.flatnonzero(chosen[start : start + block.shape[0]]):
            inside = slice(block.indptr[row], block.indptr[row + 1])
            genes, values = block.indices[inside].copy(), block.data[inside].astype(np.float64)
            sample[start + int(row)] = genes, values
        start += block.shape[0]

    def joined(key: str) -> np.ndarray:
        return np.concatenate([part[key] for part in parts]) if parts else np.zeros(0)

    count = max(1, sum(part["count"] for part in parts))
    return MatrixStatistics(
        n_genes=int(columns.sum()),
        nonzero=joined("nonzero"),
        whole=joined("whole").astype(bool),
        exact=all(part["exact"] for part in parts),
        least=joined("least"),
        smallest=min((part["smallest"] for part in parts), default=0.0),
        largest=max((part["largest"] for part in parts), default=0.0),
        broken=sum(part["broken"] for part in parts),
        fractions=sum(part["fractions"] for part in parts) / count,
        sums={key: joined(f"sums {key}") for key in (0.0, *BASES)},
        hashes=joined("hashes").astype(np.int64),
        sample=sample,
    )


def least(values: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """Smallest of the values of each cell, which come cell by cell; infinite where there is none.

    >>> least(np.array([3.0, 2.0, 5.0]), np.array([0, 0, 2]), 3).tolist()
    [2.0, inf, 5.0]
    """
    found = np.full(n_cells, np.inf)
    if len(values):
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        found[cell[starts]] = np.minimum.reduceat(values, starts)
    return found


def block_statistics(block: sparse.csr_matrix) -> dict[str, Any]:
    """Statistics of some cells, as `MatrixStatistics` has them."""
    n_cells = block.shape[0]
    values = block.data.astype(np.float64)
    cell = np.repeat(np.arange(n_cells), np.diff(block.indptr))
    fine = np.isfinite(values)
    broken = int(values.size - fine.sum())
    if broken:
        values, cell = values[fine], cell[fine]

    def per_cell(weights: np.ndarray) -> np.ndarray:
        return np.bincount(cell, weights=weights, minlength=n_cells)

    distance = np.abs(values - np.round(values))
    fractional = distance > WHOLE
    # a cell whose values are all near zero is no cell of counts
    has_one = per_cell(np.abs(values) > 1 - WHOLE) > 0
    nonzero = per_cell(np.ones(len(values))).astype(np.int64)
    whole = (per_cell(fractional) == 0) & (has_one | (nonzero == 0))
    found = {
        "count": values.size,
        "nonzero": nonzero,
        "whole": whole,
        "least": least(values, cell, n_cells),
        "exact": bool((distance == 0).all()),
        "smallest": float(values.min(initial=0.0)),
        "largest": float(values.max(initial=0.0)),
        "broken": broken,
        "fractions": int(fractional.sum()),
        "sums 0.0": per_cell(values),
        "hashes": row_hashes(block),
    }
    if whole.all():  # counts: no logarithm to undo
        return found | {f"sums {base}": np.full(n_cells, np.nan) for base in BASES}
    small = values <= OVERFLOW
    too_large = per_cell(~small) > 0
    logs = {}
    for base in BASES:
        undone = per_cell(np.expm1(np.where(small, values, 0) * math.log(base)))
        logs[f"sums {base}"] = np.where(too_large, np.inf, undone)
    return found | logs
