"""Floor of masked pretraining: the commonest bin of each cell, for all of its hidden bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from trainables.cells import fit_rows
from trainables.genes.masking import commonest_bins, masked
from trainables.genes.panel import Panel
from trainables.genes.variable import most_variable
from trainables.protocols import Card, Cells, Context, Pretrained
from trainables.seeds import stream


@dataclass(frozen=True)
class MostCommonBin:
    """Baseline of Table 3 (nog2v_explore.ipynb, cells 11 to 17): one bin for each cell.

    As there, the hidden bins of a cell count as well as the others, so that this floor knows more
    than a model does. `n_genes` is as scBERT has it, so that both are asked the same.
    """

    n_genes: int = 0

    card: ClassVar = Card(
        summary="always the commonest bin of the cell, zeros aside",
        version=2,
        citation="Boiarsky et al. 2023, doi:10.1101/2023.10.19.563100, Table 3",
        control="floor",
    )

    def pretrain(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Pretrained:
        """The smallest among equally common bins; there are no weights to keep."""
        columns = np.arange(train.n_vars)
        if self.n_genes:
            ctx.saw("most_common_bin choice of genes", train.obs_names)
            columns = most_variable(train, self.n_genes, "seurat", columns, fit_rows(train))
        panel = Panel(tuple(train.var_names[columns]), "these cells")
        tokens = panel.tokens(test, rescale=False)
        every = masked(tokens, stream(ctx.seed, "mask test"))
        bins = self.bins(panel, train, tokens, ctx)
        return every.answered(bins[every.places(every.hidden)[0]])

    def bins(
        self, panel: Panel, train: Cells, tokens: sparse.csr_matrix, ctx: Context
    ) -> np.ndarray:
        """The bin that is named for each test cell."""
        return commonest_bins(tokens)


MODEL = MostCommonBin
