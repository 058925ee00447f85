"""What the contests of `finetune.py` share: arms on the same cells, and a step of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

CLASSES = 10


@dataclass(frozen=True)
class Arm:
    """A way to do it."""

    name: str
    run: Callable[[], Any]
    flops: float
    """Of all cells."""


@dataclass(frozen=True)
class Contest:
    """The same cells by several arms, the authors' first."""

    what: str
    cells: int
    arms: Sequence[Arm]


def encoder_flops(lengths: np.ndarray, width: int, hidden: int, layers: int) -> float:
    """Of a transformer's forward pass: four maps, two of them wider, and attention."""
    linear = 2 * lengths * (4 * width**2 + 2 * width * hidden)
    return float(layers * (linear + 4 * lengths**2 * width).sum())


def stepped(network: Any, losses: Iterable[torch.Tensor]) -> None:
    """Back, clipped, and a step of AdamW, which hardly moves; a loss may come in terms."""
    if not hasattr(network, "benchmark_adam"):
        moving = [p for p in network.parameters() if p.requires_grad]
        network.benchmark_adam = torch.optim.AdamW(moving, lr=1e-9, weight_decay=1e-3)
    for loss in losses:
        loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    network.benchmark_adam.step()
    network.benchmark_adam.zero_grad(set_to_none=True)


def kinds(longest: int, n: int) -> Iterator[tuple[str, np.ndarray]]:
    """Lengths of full cells and of mixed ones, these in no order."""
    yield "full", np.full(n, longest)
    mixed = np.linspace(longest // 4, longest, n).astype(int)
    yield "mixed", np.random.default_rng(0).permutation(mixed)


def in_kinds(
    what: str,
    longest: int,
    n: int,
    some_cells: Callable[[np.ndarray], Any],
    arms: Sequence[Callable[[Any], Any]],
    flops: Callable[[np.ndarray], float],
    passes: int = 1,
) -> Iterator[Contest]:
    """A contest over full cells and one over mixed ones; `flops` are those of one forward pass."""
    for kind, lengths in kinds(longest, n):
        cells, work = some_cells(lengths), passes * flops(lengths)
        both = [Arm("", lambda arm=arm, cells=cells: arm(cells), work) for arm in arms]
        yield Contest(f"{what}, {kind}", n, both)


def warm(contests: Iterable[Contest]) -> None:
    """Run every arm once, so that all is compiled and warm."""
    for contest in contests:
        for arm in contest.arms:
            arm.run()
