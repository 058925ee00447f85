"""The one training loop: seeded batches, accumulated gradients, the best epoch, and going on.

Nothing that is random has a state to keep: the order of an epoch and the draws of a batch are
named by their numbers (`seeds.stream`), and the learning rate is a function of the epoch or the
step. So a checkpoint is weights, optimizer and a position, and on CPU in float32 a killed run that
goes on from it ends with the very weights of one that was never killed.

Several processes may share a training (`networks.processes`). What is drawn for a batch, its order
and all steps are the same for any number of them, so they may also go on from what another number
left; only dropout is each process's own, and sums round otherwise.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainables.networks.generators import forked
from trainables.networks.precision import Precision, autocast, usable
from trainables.networks.processes import add_up, from_first, group
from trainables.networks.rates import Rate
from trainables.protocols import Metrics
from trainables.seeds import random_state, stream

Loss = Callable[[np.ndarray, np.random.Generator], Iterable[Tensor]]
"""Rows of a batch, and a generator for what is drawn for them (masks), to their mean loss, in terms
that add up to it, over all processes: each computes the terms of its own rows, those that
`processes.parted` gives it. A term is let go of before the next is computed: more of them take less
memory."""
SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class Plan:
    """How to go through the rows. Fields that decide the result belong to a model's own fields."""

    epochs: int
    batch: int
    """Rows of a forward pass, of all processes together where there are several."""
    accumulate: int = 1
    """Forward passes of a step; the rest of an epoch makes a last, smaller step."""
    clip: float = math.inf
    """The largest norm of all gradients together."""
    shuffle: bool = True
    """A new order each epoch; else the rows' own, every time."""
    per: Literal["epoch", "step"] = "epoch"
    """What the learning rate is a function of."""
    precision: Precision = "float32"
    """Of autocast; a device that lacks it, such as any CPU, computes in float32."""
    best: str = ""
    """The metric of `evaluate` whose first best epoch is kept, "-valid/loss" where less is better.
    Empty: the last epoch."""
    save_every_s: float | None = None
    """Seconds between checkpoints inside an epoch, by default `SAVE_EVERY_S`; each epoch ends with
    one."""


@dataclass
class Progress:
    """Where a training is, and what it came to so far."""

    epoch: int = 0
    step: int = 0
    """Steps taken in this epoch."""
    loss: float = 0.0
    """The sum over this epoch's forward passes."""
    best_value: float = -math.inf
    best_epoch: int = 0
    """Counted from 1; 0 while no epoch was kept as best."""
    history: list[Metrics] = field(default_factory=list)


@dataclass
class Training:
    """One training: `run` trains `module` in place, and leaves it as its best epoch, in eval mode.

    `loss` is asked for each batch, in train mode; `evaluate` after each epoch, in eval mode and
    without gradients. `report` gets {"epoch", "train/loss", "lr", "micro_batch" (the rows of one
    process's pass), and what `evaluate` says}, after a kill from the first epoch again.
    `checkpoint` is a file of this training alone, and `name` tells the draws of two trainings of
    one trial apart.
    """

    module: nn.Module
    loss: Loss
    rows: int
    plan: Plan
    seed: int
    optimizer: torch.optim.Optimizer
    rate: Rate
    evaluate: Callable[[], Metrics] | None = None
    report: Callable[[Metrics], None] = lambda metrics: None
    checkpoint: Path | None = None
    name: str = "train"
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    """The weights and buffers of the best epoch so far."""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"{self.name}: there is nothing to train on")
        if self.plan.batch < group()[1]:
            raise ValueError(
                f"{self.name}: {group()[1]} processes cannot share a batch of {self.plan.batch};"
                f" give the sweep fewer: processes={self.plan.batch}"
            )
        self.device = next(self.module.parameters()).device
        wants_scale = usable(self.plan.precision, self.device) == "float16"
        self.scaler: Any = torch.amp.GradScaler(self.device.type, enabled=wants_scale)

    def run(self) -> Progress:
        """Train from the checkpoint, where there is one, to the last epoch.

        Raises ValueError when the loss is no longer a number.
        """
        self.restore()
        for told in self.progress.history:
            self.tell(told)
        with forked(self.device):
            while self.progress.epoch < self.plan.epochs:
                self.tell(self.epoch())
        if self.best:
            self.module.load_state_dict(self.best)
        self.module.eval()
        return self.progress

    def epoch(self) -> Metrics:
        """What is left of an epoch, its evaluation, and a checkpoint; what there is to tell."""
        at, plan = self.progress, self.plan
        at.loss = self.steps() / math.ceil(self.rows / plan.batch)
        if not math.isfinite(at.loss):
            raise ValueError(
                f"{self.name}: the loss is {at.loss} in epoch {at.epoch + 1}, so the training"
                " diverged; lower the learning rate, or use float32"
            )
        lr = self.optimizer.param_groups[0]["lr"]
        told = {"epoch": at.epoch + 1.0, "train/loss": at.loss, "lr": lr}
        told["micro_batch"] = float(math.ceil(plan.batch / group()[1]))
        if self.evaluate is not None:
            self.module.eval()
            with torch.no_grad(), autocast(self.device, plan.precision):
                told |= self.evaluate()
        at.history.append(told)
        at.epoch, at.step, at.loss = at.epoch + 1, 0, 0.0
        if plan.best and score(told, plan.best) > at.best_value:
            at.best_value, at.best_epoch = score(told, plan.best), at.epoch
            self.best = {k: v.detach().cpu().clone() for k, v in self.module.state_dict().items()}
        self.save()
        return told

    def steps(self) -> float:
        """What is left of an epoch's steps; the sum of all its passes' losses."""
        at, plan = self.progress, self.plan
        total = torch.tensor(at.loss, dtype=torch.float64, device=self.device)
        order = self.order()
        of_step = plan.batch * plan.accumulate
        per_epoch = math.ceil(len(order) / of_step)
        every = SAVE_EVERY_S if plan.save_every_s is None else plan.save_every_s
        saved = time.monotonic()
        self.module.train()
        for step in range(at.step, per_epoch):
            number = at.epoch * per_epoch + step
            lr = self.rate(at.epoch if plan.per == "epoch" else number)
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = lr
            total += self.step(order[step * of_step : (step + 1) * of_step], number)
            if time.monotonic() - saved >= every and step + 1 < per_epoch:
                at.step, at.loss, saved = step + 1, total.item(), time.monotonic()
                self.save()
        return total.item()

    def step(self, rows: np.ndarray, number: int) -> Tensor:
        """One step of the optimizer; the sum of its passes' losses, over all processes."""
        starts = range(0, len(rows), self.plan.batch)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for i, start in enumerate(starts):
            words = f"{self.name} batch {number}.{i}"
            draws = stream(self.seed, f"{words}.0")  # the same in all processes, whoever asks
            torch.manual_seed(random_state(self.seed, f"{words}.{group()[0]} torch"))  # dropout
            for term in self.terms(self.loss(rows[start : start + self.plan.batch], draws)):
                self.scaler.scale(term / len(starts)).backward()
                total += term.detach()
        total = add_up(self.module, total)  # before `unscale_`: all see what overflowed in one
        self.scaler.unscale_(self.optimizer)
        if math.isfinite(self.plan.clip):
            nn.utils.clip_grad_norm_(trainable(self.module), self.plan.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def terms(self, loss: Iterable[Tensor]) -> Iterator[Tensor]:
        """The terms of a loss, computed in mixed precision and handed out of it."""
        left = iter(loss)
        while True:
            with autocast(self.device, self.plan.precision):
                term = next(left, None)
            if term is None:
                return
            yield term

    def order(self) -> np.ndarray:
        """The rows in this epoch's order."""
        if not self.plan.shuffle:
            return np.arange(self.rows)
        return stream(self.seed, f"{self.name} order {self.progress.epoch}").permutation(self.rows)

    def tell(self, metrics: Metrics) -> None:
        """Report, from one process."""
        if group()[0] == 0:
            self.report(metrics)

    def save(self) -> None:
        """Replace the checkpoint; a kill meanwhile leaves the old one."""
        if self.checkpoint is None or group()[0]:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        draft = self.checkpoint.with_name(f".{self.checkpoint.name}-{os.getpid()}")
        with draft.open("wb") as file:
            torch.save(self.state(), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.checkpoint)

    def state(self) -> dict[str, Any]:
        """Everything that a checkpoint holds."""
        return {
            "progress": asdict(self.progress),
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
        }

    def restore(self) -> None:
        """Everything as the checkpoint has it, where there is one; process 0 tells the others,
        which may be on machines where it is not, where they are."""
        there = self.checkpoint if self.checkpoint and self.checkpoint.exists() else None
        if group()[1] == 1:
            return self.become(there) if there else None

        def start() -> bytes:
            held = io.BytesIO()
            torch.save(self.state(), held)
            return held.getvalue()

        told = from_first(there.read_bytes if there else start, self.device)
        self.become(io.BytesIO(told))

    def become(self, written: Any) -> None:
        """What a checkpoint holds."""
        state = torch.load(written, map_location="cpu", weights_only=True)
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress, self.best = Progress(**state["progress"]), state["best"]


def score(metrics: Metrics, best: str) -> float:
    """A metric such that more is better.

    >>> score({"valid/loss": 0.5}, "-valid/loss")
    -0.5
    """
    return -metrics[best[1:]] if best.startswith("-") else metrics[best]


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [p for p in module.parameters() if p.requires_grad]
