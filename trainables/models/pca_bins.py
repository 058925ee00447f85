"""Bins given back by principal components: what a straight line makes of scGPT's question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from trainables.genes.binning import quantile_bins
from trainables.genes.variable import most_variable
from trainables.models.pca import PCA
from trainables.protocols import Card, Cells, Context, Reconstruction
from trainables.seeds import random_state


@dataclass(frozen=True)
class PCABins:
    """Asked for the bins of each cell's expressed genes among the most variable ones, as scGPT is.

    Fitted on the very cells that it gives back, as the average is; zeros are seen, not asked.
    """

    n_components: int = 50
    n_top_genes: int = 1200
    n_bins: int = 51

    card: ClassVar = Card(summary="expression bins given back by principal components")

    def reconstruct(self, cells: Cells, ctx: Context) -> Reconstruction:
        """Bins of scGPT's kind, ties to the highest; see `genes.binning.quantile_bins`."""
        genes, rows = np.arange(cells.n_vars), np.arange(cells.n_obs)
        chosen = most_variable(cells, self.n_top_genes, "cell_ranger", genes, rows)
        asked = csr_matrix(cells.X[:, chosen])
        asked.data = quantile_bins(asked, self.n_bins).astype(np.float32)
        asked.eliminate_zeros()
        ctx.saw("pca_bins fit", cells.obs_names)
        fitted = PCA(self.n_components).fitted(asked, random_state(ctx.seed, "init"))
        given = asked.copy()
        scores = fitted.transform(asked)
        for cell, (first, last) in enumerate(zip(asked.indptr, asked.indptr[1:], strict=False)):
            at = asked.indices[first:last]
            given.data[first:last] = scores[cell] @ fitted.components_[:, at] + fitted.mean_[at]
        return Reconstruction("bins", asked, given, np.asarray(cells.var_names)[chosen])


MODEL = PCABins
