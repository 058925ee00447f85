"""Highly variable genes as they are: the baseline that beat both models in Kedzierska et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from trainables.cells import fit_rows, fit_values
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
        import anndata as ad
        import scanpy as sc

        if cells.n_vars <= self.n_top_genes:  # nothing to choose
            return np.asarray(cells.X.toarray(), dtype=np.float32)
        ctx.saw("hvg choice", cells.obs_names[fit_rows(cells)])
        seen = ad.AnnData(X=fit_values(cells))
        seen.uns["log1p"] = {"base": None}
        table: Any = sc.pp.highly_variable_genes(
            seen, n_top_genes=self.n_top_genes, flavor=self.flavor, inplace=False
        )
        chosen = table["highly_variable"].to_numpy()
        return np.asarray(cells.X[:, chosen].toarray(), dtype=np.float32)


MODEL = HVG
