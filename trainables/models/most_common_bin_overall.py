"""Floor of masked pretraining: the commonest bin of the training cells, for all cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from trainables.genes.panel import Panel
from trainables.models.most_common_bin import MostCommonBin
from trainables.protocols import Card, Cells, Context


@dataclass(frozen=True)
class MostCommonBinOverall(MostCommonBin):
    """One bin for all cells, learnt from training cells; see `most_common_bin` for the paper's."""

    card: ClassVar = Card(
        summary="always the commonest bin of the training cells, zeros aside",
        control="floor",
    )

    def bins(
        self, panel: Panel, train: Cells, tokens: sparse.csr_matrix, ctx: Context
    ) -> np.ndarray:
        """The same bin for each test cell; the smallest among equally common ones."""
        ctx.saw("most_common_bin_overall fit", train.obs_names)
        counts = np.bincount(panel.tokens(train, rescale=False).data, minlength=2)
        return np.full(tokens.shape[0], counts.argmax())


MODEL = MostCommonBinOverall
