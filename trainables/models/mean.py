"""The floor: the most frequent label of the training cells, whatever the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.protocols import Card, Cells, Context, Predictions


@dataclass(frozen=True)
class Mean:
    """What can be had without looking at a single gene."""

    card: ClassVar = Card(summary="the most frequent label of the training cells", control="floor")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """The training set's commonest label, first in the alphabet among equals."""
        ctx.saw("mean fit", train.obs_names)
        label = train.obs["cell_type"].astype(str).value_counts().sort_index().idxmax()
        return Predictions(
            test=np.full(test.n_obs, label, dtype=object),
            valid=np.full(valid.n_obs, label, dtype=object),
        )


MODEL = Mean
