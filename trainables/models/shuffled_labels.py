"""A floor of annotation: the training labels, dealt out to cells at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainables.protocols import Card, Cells, Context, Predictions
from trainables.seeds import stream


@dataclass(frozen=True)
class ShuffledLabels:
    """What knowing how frequent each type is, and nothing of the cell, comes to."""

    card: ClassVar = Card(summary="training labels dealt out at random", control="floor")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """A draw from the training labels for every cell."""
        ctx.saw("shuffled_labels fit", train.obs_names)
        labels = train.obs["cell_type"].astype(str).to_numpy()
        deal = stream(ctx.seed, "shuffled labels")
        return Predictions(
            valid=deal.choice(labels, valid.n_obs), test=deal.choice(labels, test.n_obs)
        )


MODEL = ShuffledLabels
