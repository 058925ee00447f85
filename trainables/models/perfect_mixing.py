"""The ceiling of integration: principal components, dealt out anew among the cells of each type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.models.pca import PCA
from trainables.models.perfect_labels import labels
from trainables.protocols import Card, Cells, Context, Matrix
from trainables.seeds import stream


@dataclass(frozen=True)
class PerfectMixing:
    """Types lie as they lie among real cells, and within a type nobody can tell the batch.

    Like the control "random integration by cell type" of Open Problems. Tasks hand labels to
    ceilings alone; inside a wrapper there are none, and it ends with an error.
    """

    n_components: int = 50

    card: ClassVar = Card(
        summary="principal components shuffled within each cell type", control="ceiling"
    )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x components."""
        types = labels(cells)
        ctx.saw("perfect_mixing", cells.obs_names)
        embedding = PCA(self.n_components).embed(cells, ctx)
        deal = stream(ctx.seed, "perfect mixing")
        for each in np.unique(types):
            members = np.flatnonzero(types == each)
            embedding[members] = embedding[deal.permutation(members)]
        return embedding


MODEL = PerfectMixing
