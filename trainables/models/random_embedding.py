"""The floor of embedders: gaussian noise, whatever the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.protocols import Card, Cells, Context, Matrix
from trainables.seeds import stream


@dataclass(frozen=True)
class RandomEmbedding:
    """What an embedding scores that has looked at no gene."""

    n_components: int = 50

    card: ClassVar = Card(
        summary="gaussian noise: an embedding that has looked at no gene", control="floor"
    )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x components; a cell's noise depends on the seed and its row alone."""
        shape = cells.n_obs, self.n_components
        return stream(ctx.seed, "random embedding").normal(size=shape).astype(np.float32)


MODEL = RandomEmbedding
