"""Highly variable genes as they are: the baseline that beat both models in Kedzierska et al."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from trainables.cells import fit_rows, new_cells
from trainables.genes.expressed import expressed_in, normalised_again
from trainables.genes.variable import most_variable
from trainables.identity import LATER
from trainables.protocols import Card, Cells, Context, Matrix


@dataclass(frozen=True)
class HVG:
    """Log-normalised values of the most variable genes, without PCA and without scaling.

    2,000 genes of scanpy's flavor "seurat" and no batch key, as in the authors' notebook
    Baselines_HVG_and_scVI.
    """

    n_top_genes: int = 2000
    flavor: Literal["seurat", "cell_ranger"] = "seurat"
    min_cells: int = field(default=0, metadata=LATER)
    """Genes of fewer cells are left out, and the others normalised again; the paper's 10."""

    card: ClassVar = Card(
        summary="log-normalised values of the 2,000 most variable genes",
        citation="Kedzierska et al. 2023, doi:10.1101/2023.10.16.561085",
    )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x genes, dense; genes chosen on training rows alone where they are marked."""
        columns, fitted_on = expressed_in(cells, self.min_cells), fit_rows(cells)
        if len(columns) < cells.n_vars:
            ctx.saw("hvg filter of genes", cells.obs_names[fitted_on])
            cells = with_genes(cells, columns)
        every = np.arange(cells.n_vars)
        if cells.n_vars > self.n_top_genes:
            ctx.saw("hvg choice", cells.obs_names[fitted_on])
        chosen = most_variable(cells, self.n_top_genes, self.flavor, every, fitted_on)
        return np.asarray(cells.X[:, chosen].toarray(), dtype=np.float32)


def with_genes(cells: Cells, columns: np.ndarray) -> Cells:
    """The cells with some of their genes, normalised to these."""
    values = normalised_again(cells.X[:, columns])
    return new_cells(X=values, obs=cells.obs, var=cells.var.iloc[columns], uns=cells.uns)


MODEL = HVG
