"""What is done with an scGPT network: asked, trained, saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.genes.binning import tie_draws
from trainables.genes.tokens import MASK_VALUE, Tokens
from trainables.networks.inference import asked, parted, threads
from trainables.networks.precision import Precision, autocast, refuse_nan
from trainables.networks.processes import parted as in_parts
from trainables.networks.rates import Rate
from trainables.networks.scgpt_checkpoint import save
from trainables.networks.training import Loss, Plan, Progress, Training, trainable
from trainables.protocols import Context, Metrics

TOKENS_AT_ONCE = {"cpu": 2**13, "cuda": 2**17}
"""Tokens of a forward pass in training; a batch of more is parted by length, its mean is not."""
SMALL = 5_000_000
"""Parameters below which two threads wait for each other longer than they compute."""
GENERATIVE = ("mlm_output", "mvc_output")
DECODERS = ("cls_decoder.", "decoder.", "mvc_decoder.")
EPS = 1e-4
"""Adam's, as the authors have it for mixed precision, which they always use (B3)."""


@dataclass(frozen=True)
class Run:
    """A network, the genes it is given, and the trial it works for."""

    network: nn.Module
    vocabulary: Mapping[str, int]
    n_bins: int
    columns: np.ndarray
    """Columns of the cells; then their tokens and their names."""
    ids: np.ndarray
    genes: np.ndarray
    tokens: np.ndarray
    """Token of every column of the cells, -1 where there is none; several may have the same."""
    ctx: Context
    precision: Precision = "float32"

    def only(self, columns: np.ndarray) -> Run:
        """The same with fewer columns."""
        kept = np.isin(self.columns, columns)
        return replace(self, columns=self.columns[kept], ids=self.ids[kept], genes=self.genes[kept])

    # ---- asked --------------------------------------------------------------------------------

    def ask(
        self, tokens: Tokens, want: tuple[str, ...]
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Rows and their outputs, batch by batch, in eval mode."""
        device = device_of(self.network)
        self.network.eval()

        def answer(rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            with autocast(device, self.precision):
                said = self.network(*tensors(tokens, rows, device), want=want)
            return rows, {name: said[name].float().cpu().numpy() for name in want}

        yield from asked(answer, tokens.lengths, device, self.ctx.cpus, self.ctx.parts)

    def of_cells(self, tokens: Tokens, output: str) -> np.ndarray:
        """cells x what the output gives for each."""
        answers: list[np.ndarray] = [np.empty(0)] * len(tokens.lengths)
        for rows, said in self.ask(tokens, (output,)):
            for row, answer in zip(rows, said[output], strict=True):
                answers[row] = answer
        rows = np.stack(answers)
        refuse_nan(rows, self.precision, device_of(self.network), "scgpt")
        return rows

    def of_tokens(self, tokens: Tokens, outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
        """What each output says of each token, in the order of `tokens.binned.data`."""
        starts = tokens.binned.indptr
        answers = {name: np.empty(tokens.binned.nnz, dtype=np.float32) for name in outputs}
        for rows, said in self.ask(tokens, outputs):
            for name in outputs:
                for row, answer in zip(rows, said[name], strict=True):
                    here = answers[name][starts[row] : starts[row + 1]]
                    here[:] = answer[1 : 1 + len(here)]  # <cls> is first, padding last
        for values in answers.values():
            cells = np.split(values, starts[1:-1])
            refuse_nan(cells, self.precision, device_of(self.network), "scgpt")
        return answers

    def hidden(self, tokens: Tokens, names: object, ratio: float) -> tuple[np.ndarray, ...]:
        """A share of the values hidden: what they are, and what GEP and GEPC say they are.

        Which, is each cell's own draw.
        """
        hide = tie_draws(tokens.binned, names, self.ctx.seed, "hidden values") < ratio
        said = self.of_tokens(tokens.masked(hide), GENERATIVE)
        return tokens.binned.data[hide], *(said[name][hide] for name in GENERATIVE)

    # ---- trained ------------------------------------------------------------------------------

    def fine_tune(
        self,
        train: tuple[Tokens, np.ndarray],
        valid: tuple[Tokens, np.ndarray],
        plan: Plan,
        rate: Rate,
    ) -> Progress:
        """On tokens and their classes, by cross-entropy (scGPT_run_all_celltypeannot_*.py)."""

        def evaluate() -> Metrics:
            logits = torch.from_numpy(self.of_cells(valid[0], "cls_output"))
            truth = torch.from_numpy(valid[1])
            right = (logits.argmax(dim=1) == truth).double().mean()
            return {
                "valid/loss": float(F.cross_entropy(logits, truth)),
                "valid/accuracy": float(right),
            }

        loss = class_loss(self.network, *train, self.ctx.parts)
        return self.trained(loss, train[0], plan, rate, evaluate)

    def pretrain(
        self,
        train: Tokens,
        valid: tuple[Tokens, object],
        ratios: tuple[float, ...],
        longest: int,
        plan: Plan,
        rate: Rate,
    ) -> Progress:
        """On hidden values, by squared error in both decoders; `valid`: tokens and names."""

        def evaluate() -> Metrics:
            truth, *said = self.hidden(*valid, float(np.mean(ratios)))
            errors = [float(np.mean((answer - truth) ** 2)) for answer in said]
            return {"valid/loss": sum(errors), "valid/gep": errors[0], "valid/gepc": errors[1]}

        loss = masked_loss(self.network, train, ratios, longest, self.ctx.parts)
        return self.trained(loss, train, plan, rate, evaluate)

    def trained(
        self, loss: Loss, train: Tokens, plan: Plan, rate: Rate, evaluate: Callable[[], Metrics]
    ) -> Progress:
        """The common loop, with the authors' optimizer."""
        training = Training(
            self.network,
            loss,
            len(train.lengths),
            plan,
            self.ctx.seed,
            torch.optim.Adam(trainable(self.network), eps=EPS),
            rate,
            evaluate,
            self.ctx.report,
            self.ctx.checkpoints and self.ctx.checkpoints / "scgpt.pt",
        )
        small = sum(p.numel() for p in self.network.parameters()) < SMALL
        with threads(1 if small else self.ctx.cpus):
            return training.run()

    def save(self, folder: Path, longest: int) -> Path:
        """The official layout."""
        save(self.network, self.vocabulary, self.n_bins, longest, folder)
        return folder


def device_of(network: nn.Module) -> torch.device:
    """Where a network is."""
    return next(network.parameters()).device


def tensors(tokens: Tokens, rows: np.ndarray, device: torch.device) -> tuple[Tensor, ...]:
    """ids, values and padding of some cells."""
    return tuple(torch.from_numpy(part).to(device) for part in tokens.padded(rows))


def groups(tokens: Tokens, rows: np.ndarray, device: torch.device) -> Iterator[np.ndarray]:
    """The rows of a batch in forward passes of about equal lengths."""
    return parted(rows, tokens.lengths, TOKENS_AT_ONCE[device.type])


def class_loss(network: nn.Module, tokens: Tokens, y: np.ndarray, parts: int = 1) -> Loss:
    """The mean cross-entropy of a batch's classes; a term a part."""
    device = device_of(network)

    def loss(rows: np.ndarray, rng: np.random.Generator) -> Iterator[Tensor]:
        for part in in_parts(rows, parts):
            total = torch.zeros((), device=device)
            for some in groups(tokens, part, device):
                logits = network(*tensors(tokens, some, device), want=("cls_output",))["cls_output"]
                truth = torch.from_numpy(y[some]).to(device)
                total = total + F.cross_entropy(logits.float(), truth, reduction="sum")
            yield total / len(rows)

    return loss


def masked_loss(
    network: nn.Module, tokens: Tokens, ratios: tuple[float, ...], longest: int, parts: int = 1
) -> Loss:
    """The mean squared error at a batch's hidden values, of GEP and of GEPC, added; a term a part.

    Genes beyond `longest` tokens and hidden values are drawn anew each time, as DataCollator does.
    """
    device = device_of(network)

    def loss(rows: np.ndarray, rng: np.random.Generator) -> Iterator[Tensor]:
        batch = tokens.sampled(rows, longest, rng)
        hide = rng.random(batch.binned.nnz) < rng.choice(ratios)
        masked, hidden = batch.masked(hide), max(int(hide.sum()), 1)
        for part in in_parts(np.arange(len(rows)), parts):
            total = torch.zeros((), device=device)
            for some in groups(batch, part, device):
                ids, values, padding = tensors(masked, some, device)
                truth = tensors(batch, some, device)[1]
                said = network(ids, values, padding, want=GENERATIVE)
                for name in GENERATIVE:
                    errors = (said[name].float() - truth) ** 2
                    total = total + (errors * (values == MASK_VALUE)).sum()
            yield total / hidden

    return loss


def freeze(network: nn.Module, what: str) -> None:
    """Keep "embeddings" (of genes and values), "all_but_decoder", or "none" from being trained.

    "embeddings" is the authors' condition: "encoder" in the name, "transformer_encoder" not.
    """
    for name, parameter in network.named_parameters():
        if what == "embeddings":
            parameter.requires_grad = not name.startswith(("encoder.", "value_encoder."))
        elif what == "all_but_decoder":
            parameter.requires_grad = name.startswith(DECODERS)
