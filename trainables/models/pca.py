"""Principal components of log-normalised expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.cells import fit_rows, fit_values
from trainables.protocols import Card, Cells, Context, Matrix
from trainables.seeds import random_state


@dataclass(frozen=True)
class PCA:
    """As many components as asked for, or as the fitted cells and genes can carry."""

    n_components: int = 50

    card: ClassVar = Card(summary="principal components of log-normalised expression")

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x components; fitted on training rows alone where they are marked."""
        from sklearn.decomposition import PCA as Components

        ctx.saw("pca fit", cells.obs_names[fit_rows(cells)])
        seen = fit_values(cells)
        fitted = Components(
            n_components=min(self.n_components, min(seen.shape) - 1),
            svd_solver="arpack",  # centres without making the matrix dense
            random_state=random_state(ctx.seed, "init"),
        ).fit(seen)
        return np.asarray(fitted.transform(cells.X), dtype=np.float32)


MODEL = PCA
