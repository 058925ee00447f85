"""Highly variable genes as they are: the baseline that beat both models in Kedzierska et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trainables.cells import fit_rows
from trainables.genes.variable import most_variable
from trainables.protocols import Card, Cells, Context, Matrix


@dataclass(frozen=True)
class HVG:
    """Log-normalised values of the most variable genes, without PCA and without scaling.

    2,000 genes of scanpy's flavor "seurat" and no batch key, as in the authors' notebook
    Baselines_HVG_and_scVI.
    """

    n_top_genes: int = 2000
    flavor: Literal["seurat", "cell_ranger"] = "seurat"

    card: ClassVar = Card(
        summary="log-normalised values of the 2,000 most variable genes",
        citation="Kedzierska et al. 2023, doi:10.1101/2023.10.16.561085",
    )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x genes, dense; genes chosen on training rows alone where they are marked."""
        every, fitted_on = np.arange(cells.n_vars), fit_rows(cells)
        if cells.n_vars > self.n_top_genes:
            ctx.saw("hvg choice", cells.obs_names[fitted_on])
        chosen = most_variable(cells, self.n_top_genes, self.flavor, every, fitted_on)
        return np.asarray(cells.X[:, chosen].toarray(), dtype=np.float32)


MODEL = HVG
