"""Genes that enough cells express: scanpy's `filter_genes(min_cells=...)`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from trainables.cells import fit_rows
from trainables.intake.finding import LIBRARY_SIZE
from trainables.protocols import Cells


def expressed_in(cells: Cells, min_cells: int) -> np.ndarray:
    """Columns of the genes that `min_cells` of the cells to fit on express; all columns for 0.

    Raises ValueError where no gene is left.
    """
    if not min_cells:
        return np.arange(cells.n_vars)
    values: Any = cells.layers.get("counts", cells.X)
    rows = fit_rows(cells)
    fitted = values if len(rows) == cells.n_obs else values[rows]
    columns = np.flatnonzero(np.asarray((fitted > 0).sum(axis=0)).ravel() >= min_cells)
    if not len(columns):
        raise ValueError(f"no gene is expressed in {min_cells} cells: lower min_cells")
    return columns


def normalised_again(values: sparse.csr_matrix) -> sparse.csr_matrix:
    """Natural log1p values of some genes, scaled as if the cell had no other genes.

    As `normalize_total(1e4)` does after genes were filtered. A cell of none stays empty.
    """
    scaled = sparse.csr_matrix(values, dtype=np.float64, copy=True)
    scaled.data = np.expm1(scaled.data)
    sums = np.asarray(scaled.sum(axis=1)).ravel()
    factors = LIBRARY_SIZE / np.where(sums > 0, sums, 1)
    scaled.data = np.log1p(scaled.data * np.repeat(factors, np.diff(scaled.indptr)))
    return scaled.astype(np.float32)
