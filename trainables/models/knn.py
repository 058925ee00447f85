"""Any embedder made an annotator by the labels of the nearest training cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainables.models.probe import embedded, types
from trainables.protocols import Card, Cells, Context, Embedder, Predictions


@dataclass(frozen=True)
class KNN:
    """A vote of the nearest by Euclidean distance, which fits nothing: the embedding alone speaks.

    Coordinates are taken as they are, as the zero-shot metrics take them.
    """

    embedder: Embedder
    n_neighbors: int = 15

    card: ClassVar = Card(summary="a vote of the nearest training cells in an embedding")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, then predict; with fewer training cells than neighbours, all of them vote."""
        from sklearn.neighbors import KNeighborsClassifier

        ctx.saw("knn fit", train.obs_names)
        seen, chosen_on, asked = embedded(self.embedder, train, valid, test, ctx)
        head = KNeighborsClassifier(min(self.n_neighbors, train.n_obs)).fit(seen, types(train))
        return Predictions(test=head.predict(asked), valid=head.predict(chosen_on))


MODEL = KNN
