"""The ceiling: a control that is shown the very labels it is scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.models.batches_apart import one_hot
from trainables.protocols import Card, Cells, Context, Matrix, Predictions


@dataclass(frozen=True)
class PerfectLabels:
    """Says the labels, or embeds cells by them and nothing else.

    Tasks hand labels to ceilings alone (`audit.shown_labels`), and the record says that it saw
    them; inside a wrapper there are none, and it ends with an error.
    """

    card: ClassVar = Card(summary="is shown the labels it is scored on", control="ceiling")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """The labels of `valid` and `test`."""
        ctx.saw("perfect_labels", test.obs_names)
        return Predictions(test=labels(test), valid=labels(valid))

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x cell types, one-hot."""
        types = labels(cells)
        ctx.saw("perfect_labels", cells.obs_names)
        return one_hot(types, ctx)


def labels(cells: Cells) -> np.ndarray:
    """The labels that a ceiling is shown; ValueError where it stands in for a competitor."""
    if "cell_type" not in cells.obs:
        raise ValueError(
            "a ceiling is shown labels only where it stands by itself: name it without a wrapper"
        )
    return cells.obs["cell_type"].astype(str).to_numpy()


MODEL = PerfectLabels
