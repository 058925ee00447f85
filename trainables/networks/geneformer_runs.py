"""What is done with a Geneformer network: asked, trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.networks.geneformer_tokens import Ranked
from trainables.networks.inference import asked, threads
from trainables.networks.precision import Precision, autocast, refuse_nan
from trainables.networks.processes import parted
from trainables.networks.rates import Rate
from trainables.networks.training import Loss, Plan, Progress, Training, trainable
from trainables.protocols import Context, Metrics
from trainables.seeds import stream

SMALL = 5_000_000
"""Parameters below which two threads wait for each other longer than they compute."""
DECAY = 1e-3
"""Of AdamW, in the authors' pretraining and fine-tuning scripts; norms and biases have none."""
SHARE, HIDDEN, SWAPPED = 0.15, 0.8, 0.1
"""BERT's masking: of the tokens asked for, eight in ten hidden, one in ten another token."""


@dataclass(frozen=True)
class Run:
    """A network and the trial that it works for."""

    network: Any
    ctx: Context
    precision: Precision = "float32"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def parts(self, cells: int) -> int:
        """Into how many a batch is parted: on CPU each cell alone, so that nothing is padded."""
        return cells if self.device.type == "cpu" else self.ctx.parts

    def ask(self, cells: Ranked, answer: Callable[..., Tensor]) -> list[np.ndarray]:
        """For each cell what `answer(network, ids, mask)` says of it, a row a cell, in order.

        Raises ValueError, naming cells and precision, where that is NaN or infinity.
        """
        self.network.eval()

        def some(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids, mask = self.put(cells, rows)
            with autocast(self.device, self.precision):
                said = answer(self.network, ids, mask)
            wide = said.dtype in (torch.float32, torch.float64)
            return rows, (said if wide else said.float()).cpu().numpy()

        answers: list[np.ndarray] = [np.empty(0)] * len(cells.lengths)
        for rows, said in asked(some, cells.lengths, self.device, self.ctx.cpus, self.ctx.parts):
            for row, one in zip(rows, said, strict=True):
                answers[row] = one
        refuse_nan(answers, self.precision, self.device, "geneformer")
        return answers

    def put(self, cells: Ranked, rows: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Ids and mask, where the network is."""
        ids, mask = cells.padded(rows)
        return ids.to(self.device), None if mask is None else mask.to(self.device)

    def hidden_states(
        self, cells: Ranked, layer: int, pool: Callable[..., Tensor] = lambda states, mask: states
    ) -> list[np.ndarray]:
        """For each cell what `pool` makes of its tokens x width after all but `layer` blocks.

        The blocks behind are not computed: 1 is the authors' `emb_layer=-1`, `hidden_states[-2]`.
        """
        encoder = self.network.bert.encoder
        whole = encoder.layer
        encoder.layer = whole[: len(whole) - layer]
        try:
            return self.ask(
                cells,
                lambda net, ids, mask: pool(net.bert(ids, attention_mask=mask)[0], mask),
            )
        finally:
            encoder.layer = whole

    def embedding(self, cells: Ranked, layer: int, pooling: str) -> np.ndarray:
        """cells x width: the first token's state ("cls"), or the mean over a cell's genes."""
        before, behind = cells.specials

        def mean(states: Tensor, mask: Tensor | None) -> Tensor:
            longest = states.shape[1]
            lengths = longest if mask is None else mask.sum(dim=1, keepdim=True)
            place = torch.arange(longest, device=states.device).expand(states.shape[:2])
            genes = (place >= before) & (place < lengths - behind)
            genes = genes | (~genes.any(dim=1, keepdim=True) & (place == 0))  # a cell without
            return (states * genes[..., None]).sum(dim=1) / genes.sum(dim=1, keepdim=True)

        pool = mean if pooling == "mean" else lambda states, mask: states[:, 0]
        return np.stack(self.hidden_states(cells, layer, pool)).astype(np.float32)

    def best_tokens(self, cells: Ranked) -> list[np.ndarray]:
        """The likeliest token of each position."""

        def best(net: Any, ids: Tensor, mask: Tensor | None) -> Tensor:
            logits = net(ids, attention_mask=mask).logits
            # NaN has no likeliest token: it is handed on for `ask` to refuse
            fault = torch.where(logits.isfinite().all(-1), 0.0, torch.nan)
            return logits.argmax(-1) + fault.double()

        return [one.astype(np.int32) for one in self.ask(cells, best)]

    def retold(self, cells: Ranked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The genes' tokens and the likeliest in their places, cells x longest; and lengths."""
        said = self.best_tokens(cells)
        where = [cells.genes(row) for row in range(len(said))]
        lengths = np.array([here.stop - here.start for here in where]).clip(0)
        if cells.specials == (0, 0):
            lengths[cells.ids[:, 0] == 0] = 0  # the padding token of a cell without genes
        real, given = (np.zeros((len(said), max(int(lengths.max()), 1)), int) for _ in range(2))
        for row, (here, n) in enumerate(zip(where, lengths, strict=True)):
            real[row, :n] = cells.ids[row, here][:n]
            given[row, :n] = said[row][here][:n]
        return real, given, lengths

    def class_scores(self, cells: Ranked) -> np.ndarray:
        """cells x classes."""
        return np.stack(self.ask(cells, lambda n, ids, mask: n(ids, attention_mask=mask).logits))

    def guessed(self, cells: Ranked, names: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
        """A cell's own 15 % of tokens hidden: which they are, and which the network says."""
        shown, at = cells.ids.copy(), []
        for row, name in enumerate(names):
            chosen, ids = hide(
                cells.ids[row, cells.genes(row)],
                stream(self.ctx.seed, f"hidden tokens of {part} {name}"),
                self.network.config.vocab_size,
            )
            shown[row, cells.genes(row)] = ids
            at.append(chosen + cells.specials[0])
        said = self.best_tokens(Ranked(shown, cells.lengths, cells.specials))
        real = [cells.ids[row, here] for row, here in enumerate(at)]
        return np.concatenate(real), np.concatenate(
            [one[here] for one, here in zip(said, at, strict=True)]
        )

    def trained(
        self, loss: Loss, rows: int, plan: Plan, rate: Rate, evaluate: Callable[[], Metrics]
    ) -> Progress:
        """The common loop with the authors' optimizer, AdamW."""
        parameters = trainable(self.network)
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": DECAY},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        training = Training(
            self.network,
            loss,
            rows,
            plan,
            self.ctx.seed,
            torch.optim.AdamW(groups),
            rate,
            evaluate,
            self.ctx.report,
            self.ctx.checkpoints and self.ctx.checkpoints / "geneformer.pt",
            name="geneformer",
        )
        small = sum(p.numel() for p in self.network.parameters()) < SMALL
        with threads(1 if small else self.ctx.cpus):
            return training.run()

    def fine_tune(
        self,
        train: tuple[Ranked, np.ndarray],
        valid: tuple[Ranked, np.ndarray],
        plan: Plan,
        rate: Rate,
    ) -> Progress:
        """On tokens and their classes, by cross-entropy."""

        def loss(rows: np.ndarray, rng: np.random.Generator) -> Iterator[Tensor]:
            for some in parted(rows, self.parts(len(rows))):
                ids, mask = self.put(train[0], some)
                truth = torch.from_numpy(train[1][some]).to(self.device)
                said = self.network(ids, attention_mask=mask).logits.float()
                yield F.cross_entropy(said, truth) * (len(some) / len(rows))

        def evaluate() -> Metrics:
            scores, truth = (
                torch.from_numpy(self.class_scores(valid[0])),
                torch.from_numpy(valid[1]),
            )
            right = (scores.argmax(dim=1) == truth).double().mean()
            return {
                "valid/loss": float(F.cross_entropy(scores, truth)),
                "valid/accuracy": float(right),
            }

        return self.trained(loss, len(train[1]), plan, rate, evaluate)

    def pretrain(
        self, train: Ranked, valid: tuple[Ranked, Any], plan: Plan, rate: Rate
    ) -> Progress:
        """On hidden tokens; the last epoch stays, `valid` tells how it goes."""

        def loss(rows: np.ndarray, rng: np.random.Generator) -> Iterator[Tensor]:
            vocabulary = self.network.config.vocab_size
            hidden = [hide(train.ids[row, train.genes(row)], rng, vocabulary) for row in rows]
            asked_in_all = max(1, sum(len(chosen) for chosen, _ in hidden))
            for part in parted(np.arange(len(rows)), self.parts(len(rows))):
                ids, mask = self.put(train, rows[part])
                truth, asked_for = ids.clone(), torch.zeros_like(ids, dtype=torch.bool)
                for i, n in enumerate(part):
                    chosen, shown = hidden[n]
                    where = train.genes(int(rows[n]))
                    ids[i, where] = torch.from_numpy(shown.astype(np.int64)).to(self.device)
                    asked_for[i, torch.from_numpy(chosen + train.specials[0])] = True
                states = self.network.bert(ids, attention_mask=mask).last_hidden_state[asked_for]
                said = self.network.cls(states).float()
                yield F.cross_entropy(said, truth[asked_for], reduction="sum") / asked_in_all

        def evaluate() -> Metrics:
            real, given = self.guessed(*valid, "valid")
            return {"valid/accuracy": float((real == given).mean()) if len(real) else 0.0}

        return self.trained(loss, len(train.lengths), plan, rate, evaluate)


def hide(ids: np.ndarray, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of a cell's tokens are asked for, and the tokens as they are shown.

    >>> chosen, shown = hide(np.arange(2, 102), np.random.default_rng(0), 200)
    >>> len(chosen), set(np.flatnonzero(shown != np.arange(2, 102))) <= set(chosen)
    (15, True)
    """
    chosen = np.flatnonzero(rng.random(len(ids)) < SHARE)
    how, others = rng.random(len(chosen)), rng.integers(size, size=len(chosen))
    shown = ids.copy()
    shown[chosen[how < HIDDEN]] = 1
    swapped = (how >= HIDDEN) & (how < HIDDEN + SWAPPED)
    shown[chosen[swapped]] = others[swapped]
    return chosen, shown
