"""Any embedder made an annotator by a linear classifier on its embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import anndata as ad
import numpy as np
import pandas as pd

from trainables.protocols import Card, Cells, Context, Embedder, Predictions
from trainables.seeds import random_state


@dataclass(frozen=True)
class Probe:
    """Multinomial logistic regression with an L2 penalty on standardised coordinates."""

    embedder: Embedder
    C: float = 1.0
    max_iter: int = 1000

    card: ClassVar = Card(summary="a linear classifier on an embedding")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, standardise on the training rows, fit there, predict the rest.

        Raises ValueError where the training cells are all of one type.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if train.obs["cell_type"].nunique() < 2:
            raise ValueError("a probe needs two cell types to tell apart, and was taught one")
        linear = LogisticRegression(
            C=self.C, max_iter=self.max_iter, random_state=random_state(ctx.seed, "init")
        )
        head = make_pipeline(StandardScaler(), linear)
        return classified("probe", self.embedder, head, train, valid, test, ctx)


def classified(
    name: str,
    embedder: Embedder,
    head: Any,
    train: Cells,
    valid: Cells,
    test: Cells,
    ctx: Context,
) -> Predictions:
    """A scikit-learn classifier fitted on the embedded training cells.

    One pass embeds all three parts, with rows marked in `obs["split"]` and no label to read, so
    an embedder that fits anything fits it on the training rows.
    """
    ctx.saw(f"{name} fit", train.obs_names)
    embedding = embedder.embed(stacked(train, valid, test), ctx)
    parts = np.split(embedding, np.cumsum([train.n_obs, valid.n_obs]))
    head.fit(parts[0], train.obs["cell_type"].astype(str).to_numpy())
    return Predictions(test=head.predict(parts[2]), valid=head.predict(parts[1]))


def stacked(train: Cells, valid: Cells, test: Cells) -> Cells:
    """The three parts as one, rows marked with their part, labels taken away."""
    parts: dict[str, Any] = {"train": train, "valid": valid, "test": test}
    everyone: Any = ad.concat(list(parts.values()), merge="same", uns_merge="same")
    marks = np.repeat(list(parts), [part.n_obs for part in parts.values()])
    everyone.obs = everyone.obs.drop(columns="cell_type", errors="ignore")
    everyone.obs["split"] = pd.Categorical(marks)
    return everyone


MODEL = Probe
