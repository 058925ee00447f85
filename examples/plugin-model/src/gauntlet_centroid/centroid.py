"""Nearest centroid: the mean profile of each cell type."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.protocols import Card, Cells, Context, Predictions


@dataclass(frozen=True)
class Centroid:
    """A cell is of the type whose mean profile is nearest, by Euclidean distance."""

    shrink: float = 0.0
    """How far each mean is drawn to the mean of all cells, 0 to below 1."""

    card: ClassVar = Card(summary="the nearest mean profile of a cell type", version=1)

    def __post_init__(self) -> None:
        if not 0 <= self.shrink < 1:
            raise ValueError(f"centroid's shrink is {self.shrink}; it must be from 0 to below 1")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Labels of `valid` and `test`."""
        ctx.saw("centroid fit", train.obs_names)
        x, labels = train.X, train.obs["cell_type"].astype(str).to_numpy()
        names = np.unique(labels)
        means = np.vstack([np.asarray(x[labels == name].mean(axis=0)) for name in names])
        means += self.shrink * (np.asarray(x.mean(axis=0)) - means)

        def said(cells: Cells) -> np.ndarray:
            far = (means**2).sum(axis=1) - 2 * (cells.X @ means.T)
            return names[far.argmin(axis=1)]

        return Predictions(test=said(test), valid=said(valid))
