"""Columns of one gene summed, as Geneformer's `sum_ensembl_ids` does (collapse_gene_ids)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from trainables.protocols import Cells


def first_of_each(tokens: np.ndarray) -> np.ndarray:
    """For each column the column that it is added to: the first of the same token.

    `tokens`: one a column, negative where the model has none; such a column stays alone.

    >>> first_of_each(np.array([7, -1, 9, 7, -1])).tolist()
    [0, 1, 2, 0, 4]
    """
    into = np.arange(len(tokens))
    columns = np.flatnonzero(np.asarray(tokens) >= 0)
    _, first, group = np.unique(tokens[columns], return_index=True, return_inverse=True)
    into[columns] = columns[first][group]
    return into


def summed(cells: Cells, tokens: np.ndarray) -> Cells:
    """Cells whose columns of one token are added to the first of them; the others become empty.

    Counts are added as they are. X holds logarithms, so it is brought back to its linear scale,
    added, and logged again. Columns keep their places. The very cells where each column has a
    token of its own.
    """
    into = first_of_each(tokens)
    if (into == np.arange(len(into))).all():
        return cells
    from trainables.cells import new_cells

    layers = {name: added(values, into, logged=False) for name, values in cells.layers.items()}
    x = added(cells.X, into, logged=True)
    return new_cells(X=x, layers=layers, obs=cells.obs, var=cells.var, uns=cells.uns)


def added(values: Any, into: np.ndarray, *, logged: bool) -> csr_matrix:
    """Columns added to the columns `into`; all others keep every bit.

    >>> added(csr_matrix([[1.0, 2.0, 3.0]]), np.array([0, 1, 0]), logged=False).toarray().tolist()
    [[4.0, 2.0, 0.0]]
    """
    values = csr_matrix(values)
    shared = np.bincount(into, minlength=len(into))[into] > 1
    here = shared[values.indices]
    rows = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    alone = csr_matrix(
        (values.data[~here], (rows[~here], values.indices[~here])), shape=values.shape
    )
    linear = values.data[here].astype(np.float64)
    linear = np.expm1(linear) if logged else linear
    sums = csr_matrix((linear, (rows[here], into[values.indices[here]])), shape=values.shape)
    sums.sum_duplicates()
    sums.data = np.log1p(sums.data) if logged else sums.data
    both = csr_matrix(alone + sums.astype(values.dtype))
    both.sort_indices()
    return both
