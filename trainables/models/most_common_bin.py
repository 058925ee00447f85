"""The floor of masked pretraining: the commonest bin of the training cells, always."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.cells import fit_rows
from trainables.genes.masking import masked
from trainables.genes.panel import Panel
from trainables.genes.variable import most_variable
from trainables.protocols import Card, Cells, Context, Pretrained
from trainables.seeds import stream


@dataclass(frozen=True)
class MostCommonBin:
    """What guesses without looking: `n_genes` as scBERT is given them, so that both are asked the
    same."""

    n_genes: int = 0

    card: ClassVar = Card(
        summary="always the commonest bin of the training cells, zeros aside",
        citation="Boiarsky et al. 2023, doi:10.1101/2023.10.19.563100, Table 3",
        control="floor",
    )

    def pretrain(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Pretrained:
        """The smallest among equally common bins; there are no weights to keep."""
        ctx.saw("most_common_bin fit", train.obs_names)
        columns = np.arange(train.n_vars)
        if self.n_genes:
            columns = most_variable(train, self.n_genes, "seurat", columns, fit_rows(train))
        panel = Panel(tuple(train.var_names[columns]), "these cells")
        commonest = np.bincount(panel.tokens(train, rescale=False).data, minlength=2).argmax()
        every = masked(panel.tokens(test, rescale=False), stream(ctx.seed, "mask test"))
        asked = every.asked(every.hidden)
        return Pretrained(weights=None, asked=asked, given=np.full_like(asked, commonest))


MODEL = MostCommonBin
