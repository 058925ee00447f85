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
        chosen = cells.X[:, self.chosen(cells, ctx)]
        return np.asarray(chosen.toarray(), dtype=np.float32)

    def chosen(self, cells: Cells, ctx: Context) -> np.ndarray:
        """A mask of the genes; all of them where there are no more than are wanted.

        Raises ValueError where the cells are too few, or too alike, to rank genes by.
        """
        import anndata as ad
        import scanpy as sc

        if cells.n_vars <= self.n_top_genes:
            return np.ones(cells.n_vars, dtype=bool)
        ctx.saw("hvg choice", cells.obs_names[fit_rows(cells)])
        seen = ad.AnnData(X=fit_values(cells))
        seen.uns["log1p"] = {"base": None}
        try:
            if seen.n_obs < 2:
                raise ValueError("a single cell has no variance")
            table: Any = sc.pp.highly_variable_genes(
                seen, n_top_genes=self.n_top_genes, flavor=self.flavor, inplace=False
            )
        except ValueError as error:  # of bins of mean expression that hold no gene
            why = str(error).splitlines()[0]
            raise ValueError(
                f"no variable genes can be chosen among {seen.n_obs} cells ({why}); give more"
                " cells, or take all genes with a larger n_top_genes"
            ) from error
        return table["highly_variable"].to_numpy()


MODEL = HVG
