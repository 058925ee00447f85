"""The genes that vary most, by scanpy's recipes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from trainables.protocols import Cells

FLAVORS = ("seurat", "cell_ranger", "seurat_v3")


def most_variable(
    cells: Cells, n_genes: int, flavor: str, among: np.ndarray, fitted_on: np.ndarray
) -> np.ndarray:
    """The columns among `among` of the `n_genes` that vary most in the rows `fitted_on`.

    All of `among` where there are no more than that. "seurat_v3" looks at counts where there are
    any, as it should, and at X where not, as the papers' code does; the others look at X. Raises
    LookupError when "seurat_v3" lacks its package, and ValueError where the cells are too few, or
    too alike, to rank genes by.
    """
    if len(among) <= n_genes:  # nothing to choose
        return among
    if flavor == "seurat_v3" and find_spec("skmisc") is None:
        raise LookupError(
            "flavor 'seurat_v3' needs scikit-misc: uv sync, or pip install scikit-misc;"
            " 'cell_ranger' does not"
        )
    import anndata as ad
    import scanpy as sc

    counted = flavor == "seurat_v3" and "counts" in cells.layers
    values = cells.layers["counts"] if counted else cells.X
    if len(fitted_on) < cells.n_obs:  # else nothing is copied
        values = values[fitted_on]
    if len(among) < cells.n_vars:
        values = values[:, among]
    seen: Any = ad.AnnData(X=values)
    seen.uns["log1p"] = {"base": None}
    how: Any = flavor
    try:
        if seen.n_obs < 2:
            raise ValueError("a single cell has no variance")
        table: Any = sc.pp.highly_variable_genes(
            seen, n_top_genes=n_genes, flavor=how, inplace=False, check_values=False
        )
    except ValueError as error:  # of bins of mean expression that hold no gene
        why = str(error).splitlines()[0]
        raise ValueError(
            f"no variable genes can be chosen among {seen.n_obs} cells ({why}); give more cells, or"
            " take all genes by asking for more of them"
        ) from error
    return among[table["highly_variable"].to_numpy()]


def expressed(cells: Cells, fitted_on: np.ndarray) -> np.ndarray:
    """A mask of the genes with three counts or more in these rows: scGPT's `min_counts`."""
    values = cells.layers.get("counts", cells.X)
    seen = values if len(fitted_on) == cells.n_obs else values[fitted_on]
    return np.asarray(seen.sum(axis=0)).ravel() >= 3
