"""The floor of integration: an embedding that tells batches apart, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.protocols import Card, Cells, Context, Matrix
from trainables.seeds import stream


@dataclass(frozen=True)
class BatchesApart:
    """One-hot batches."""

    card: ClassVar = Card(summary="one-hot batches: nothing mixes", control="floor")

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x batches; one column where no batch is known."""
        known = "batch" in cells.obs
        batches = cells.obs["batch"].astype(str).to_numpy() if known else np.zeros(cells.n_obs)
        return one_hot(batches, ctx)


def one_hot(groups: np.ndarray, ctx: Context) -> Matrix:
    """Coordinates that tell the groups apart and nothing else, with a little noise.

    The noise is there because neighbours among equals would be drawn by the order of the cells.
    """
    _, codes = np.unique(groups, return_inverse=True)
    shape = len(codes), codes.max(initial=0) + 1
    noise = stream(ctx.seed, "one-hot noise").normal(scale=0.01, size=shape)
    return (np.eye(shape[1])[codes] + noise).astype(np.float32)


MODEL = BatchesApart
