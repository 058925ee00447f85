"""Principal components of log-normalised expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

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
        """cells x components; fitted on training rows alone where they are marked.

        Raises ValueError where there is no second cell or gene to find a component in.
        """
        ctx.saw("pca fit", cells.obs_names[fit_rows(cells)])
        fitted = self.fitted(fit_values(cells), random_state(ctx.seed, "init"))
        return np.asarray(fitted.transform(cells.X), dtype=np.float32)

    def fitted(self, seen: Any, state: int) -> Any:
        """scikit-learn's components of a sparse matrix, centred without making it dense."""
        from sklearn.decomposition import PCA as Components

        if min(seen.shape) < 2:
            raise ValueError(
                f"pca needs two cells and two genes for a component, and has {seen.shape[0]} cells"
                f" x {seen.shape[1]} genes"
            )
        most = min(self.n_components, min(seen.shape) - 1)
        return Components(n_components=most, svd_solver="arpack", random_state=state).fit(seen)


MODEL = PCA
