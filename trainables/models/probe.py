"""Any embedder made an annotator by a linear classifier on its embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import anndata as ad
import numpy as np
import pandas as pd

from trainables.heads import fitted
from trainables.models.cached import Cached
from trainables.protocols import Card, Cells, Context, Embedder, Matrix, Predictions


@dataclass(frozen=True)
class Probe:
    """Multinomial logistic regression with an L2 penalty on standardised coordinates.

    At the optimum of scikit-learn's `LogisticRegression(C)`, which itself stops on the way there.
    """

    embedder: Embedder
    C: float = 1.0

    card: ClassVar = Card(summary="a linear classifier on an embedding", version=2)

    def __post_init__(self) -> None:
        if not self.C > 0:
            raise ValueError(f"a probe's C is {self.C}; it must be above zero")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, standardise on the training rows, fit there, predict the rest.

        Raises ValueError where the training cells are all of one type.
        """
        ctx.saw("probe fit", train.obs_names)
        labels = taught(train, "probe")
        seen, chosen_on, asked = embedded(self.embedder, train, valid, test, ctx)
        head = fitted(seen, labels, self.C)
        return Predictions(test=head.predict(asked), valid=head.predict(chosen_on))


def types(cells: Cells) -> np.ndarray:
    """Each cell's type as a word."""
    return cells.obs["cell_type"].to_numpy().astype(str)


def taught(train: Cells, who: str) -> np.ndarray:
    """The types of cells to learn from. Raises ValueError where all are of one."""
    if train.obs["cell_type"].nunique() < 2:
        raise ValueError(f"a {who} needs two cell types to tell apart, and was taught one")
    return types(train)


def embedded(
    embedder: Embedder, train: Cells, valid: Cells, test: Cells, ctx: Context
) -> list[Matrix]:
    """The coordinates of three parts, without a label to read.

    One pass embeds all three, with rows marked in `obs["split"]`, so that an embedder that fits
    anything fits it on the training rows. What is remembered of each cell is only looked up.
    """
    parts = [train, valid, test]
    if isinstance(embedder, Cached):
        known = [embedder.of_each(part, ctx) for part in parts]
        if all(one is not None for one in known):
            return known  # type: ignore[return-value]
    everyone = embedder.embed(stacked(*parts), ctx)
    return np.split(everyone, np.cumsum([train.n_obs, valid.n_obs]))


def stacked(train: Cells, valid: Cells, test: Cells) -> Cells:
    """The three parts as one, rows marked with their part, labels taken away."""
    parts: dict[str, Any] = {"train": train, "valid": valid, "test": test}
    everyone: Any = ad.concat(list(parts.values()), merge="same", uns_merge="same")
    marks = np.repeat(list(parts), [part.n_obs for part in parts.values()])
    everyone.obs = everyone.obs.drop(columns="cell_type", errors="ignore")
    everyone.obs["split"] = pd.Categorical(marks)
    return everyone


MODEL = Probe
