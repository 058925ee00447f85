"""What is done with an scBERT network: cells as its tokens, asked, trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from trainables.genes.panel import Panel
from trainables.networks import masked_bins, performer
from trainables.networks.cell_types import Trained, Trunk, classify, freeze, with_head
from trainables.networks.performer import ScBERTNetwork
from trainables.networks.precision import Precision, refuse_nan
from trainables.networks.processes import group
from trainables.networks.rates import Rate
from trainables.networks.training import Loss, Plan, Progress, Training, trainable
from trainables.protocols import Cells, Context, Metrics, Pretrained
from trainables.seeds import stream


@dataclass(frozen=True)
class Run:
    """A network, its genes, and the trial that it works for.

    Raises MemoryError where a batch is to be parted and fewer cells would change what is said of
    each.
    """

    network: ScBERTNetwork
    panel: Panel
    ctx: Context
    batch: int
    rescale: bool
    redraw: int
    precision: Precision

    def __post_init__(self) -> None:
        if self.ctx.parts > 1 and not self.apart:
            raise MemoryError(
                'a batch cannot be parted with stabiliser="paper", where what is said of a cell'
                " depends on its batch; make batch smaller, or use a larger GPU"
            )

    @property
    def apart(self) -> bool:
        """Whether what is said of a cell is its own, whatever its batch."""
        return self.network.stabiliser == "per_cell"

    @property
    def at_once(self) -> int:
        """Cells of a forward pass."""
        return max(1, self.batch // self.ctx.parts)

    def tokens(self, cells: Cells) -> sparse.csr_matrix:
        """Cells as the network reads them."""
        return self.panel.tokens(cells, rescale=self.rescale)

    def embedding(self, cells: Cells) -> np.ndarray:
        """cells x dim: the mean of a cell's encodings over all positions."""
        how = self.at_once, self.precision, self.ctx.cpus
        rows = performer.means(self.network, self.tokens(cells), *how)
        refuse_nan(rows, self.precision, self.network.token_emb.weight.device, "scbert")
        return rows

    # ---- cell types ---------------------------------------------------------------------------

    def trunks(self, parts: Sequence[Cells], classes: int, trained: Trained) -> list[Trunk]:
        """What lies before the trained blocks, for each part, under a fresh head for cell types."""
        with_head(self.network, classes, self.ctx.seed)
        first = freeze(self.network, trained)
        how = first, trained != "all", self.precision
        return [Trunk(self.network, self.tokens(part), *how) for part in parts]

    def keep(self, trunks: Sequence[Trunk], most_mb: float) -> None:
        """Compute what the frozen blocks say once, where that is the same in every epoch and fits.

        It is not where random features are redrawn, nor where a cell's output depends on its batch.
        """
        size = sum(trunk.tokens.shape[0] for trunk in trunks) * self.network.size.length
        fits = size * self.network.size.dim * 4 <= most_mb * 2**20
        if self.apart and not self.redraw and fits:
            for trunk in trunks:
                if trunk.frozen and trunk.first:
                    trunk.keep(self.ctx.store)

    def classified(self, trunk: Trunk, batch: int = 0, drawn_for: str = "") -> np.ndarray:
        """The class number of each of a trunk's cells.

        `batch`: cells of a forward pass; 0 is that of training. `drawn_for`: purpose by which the
        seed draws an order of the cells; "" takes them one after another.
        """
        order = None
        if drawn_for:
            order = stream(self.ctx.seed, drawn_for).permutation(trunk.tokens.shape[0])
        at_once = max(1, batch // self.ctx.parts) if batch else self.at_once
        return classify(self.network, trunk, at_once, self.precision, order)

    # ---- hidden bins --------------------------------------------------------------------------

    def guessed(self, tokens: sparse.csr_matrix, part: str) -> Pretrained:
        """Hidden bins, and the network's: one cell at a time where a cell's output depends on its
        batch, as in the authors' notebook."""
        rng = stream(self.ctx.seed, f"mask {part}")
        batch = self.at_once if self.apart else 1
        return masked_bins.guessed(self.network, tokens, rng, batch, self.precision)

    def pretrain(
        self, train: sparse.csr_matrix, valid: sparse.csr_matrix, plan: Plan, rate: Rate
    ) -> Progress:
        """On hidden bins; the last epoch stays, `valid` tells how it goes."""
        freeze(self.network, "all")
        how = self.redraw, self.ctx.seed, self.ctx.parts
        loss = masked_bins.hidden_loss(self.network, train, *how)

        def evaluate() -> Metrics:
            answers = self.guessed(valid, "valid")
            return {"valid/accuracy": float((answers.asked == answers.given).mean())}

        return self.trained(loss, train.shape[0], plan, rate, evaluate)

    def trained(
        self, loss: Loss, rows: int, plan: Plan, rate: Rate, evaluate: Callable[[], Metrics]
    ) -> Progress:
        """The common loop with the authors' optimizer, Adam."""
        if not self.apart and group()[1] > 1:
            raise ValueError(
                'several processes cannot share a batch with stabiliser="paper", where what is said'
                " of a cell depends on its batch; run this without processes=N"
            )
        return Training(
            self.network,
            loss,
            rows,
            plan,
            self.ctx.seed,
            torch.optim.Adam(trainable(self.network)),
            rate,
            evaluate,
            self.ctx.report,
            self.ctx.checkpoints and self.ctx.checkpoints / "scbert.pt",
            name="scbert",
        ).run()
