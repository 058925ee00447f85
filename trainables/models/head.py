"""Any embedder made an annotator by a linear layer that is trained as networks' heads are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.models.probe import embedded, taught
from trainables.protocols import Card, Cells, Context, Embedder, Predictions
from trainables.seeds import stream


@dataclass(frozen=True)
class Head:
    """One linear layer on standardised coordinates: cross-entropy, Adam, shuffled mini-batches.

    What a head is where a network's weights stay as they are, in a fraction of the time that torch
    takes for the same steps. The layer is Geneformer's (`BertForSequenceClassification` ends in
    one); optimizer, learning rate, epochs, batch and the last epoch being the one that is kept are
    those of Helical's classifier of embeddings (`helical/models/classification/neural_network.py`),
    whose two hidden layers this has not. Standardising is ours, as of `probe`.

    With few cells ten epochs are few steps, far from any optimum: of pbmc68k_reduced (490 cells to
    learn from) `pca+head` names 61 % right and `pca+probe` 82 %. For a result that depends on none
    of all this, take `probe`: it is the same layer, at an optimum.
    """

    embedder: Embedder
    lr: float = 1e-3
    epochs: int = 10
    """All of them, always: nothing is chosen on `valid`."""
    batch_size: int = 32
    weight_decay: float = 0.0
    """Times the weights, biases included, added to the gradient: `torch.optim.Adam`'s, which is an
    L2 penalty, and not AdamW's."""

    card: ClassVar = Card(summary="a linear layer on an embedding, trained by Adam")

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"a head's lr is {self.lr}; it must be above zero")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value > 0):
                raise ValueError(
                    f"a head's {name} is {value}; it must be a whole number, 1 or more"
                )
        if not self.weight_decay >= 0:
            raise ValueError(
                f"a head's weight_decay is {self.weight_decay}; it must not be below zero"
            )

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, standardise on the training rows, train there, predict the rest.

        Raises ValueError where the training cells are all of one type, and where training diverges.
        """
        from trainables import adam  # its compiler is not needed to look at a model

        ctx.saw("head fit", train.obs_names)
        labels = taught(train, "head")
        seen, chosen_on, asked = embedded(self.embedder, train, valid, test, ctx)

        def tell(epoch: int, loss: float) -> None:
            ctx.report({"epoch": float(epoch), "train/loss": loss, "lr": self.lr})

        trained = adam.fitted(
            seen,
            labels,
            start(ctx.seed, len(np.unique(labels)), seen.shape[1]),
            orders(ctx.seed, len(seen), self.epochs),
            lr=self.lr,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            tell=tell,
        )
        return Predictions(test=trained.predict(asked), valid=trained.predict(chosen_on))


def start(seed: int, k: int, dimensions: int) -> np.ndarray:
    """Weights as `torch.nn.Linear` begins: uniform in +-1/sqrt(dimensions), the bias being last."""
    bound = dimensions**-0.5
    return stream(seed, "head init").uniform(-bound, bound, (k, dimensions + 1)).astype(np.float32)


def orders(seed: int, n: int, epochs: int) -> Iterator[np.ndarray]:
    """The order of cells in each epoch."""
    shuffling = stream(seed, "head order")
    return (shuffling.permutation(n) for _ in range(epochs))


MODEL = Head
