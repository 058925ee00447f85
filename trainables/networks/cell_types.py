"""Fine-tuning scBERT's network to name cell types; what is frozen is computed once a cell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.genes.panel import content, dense
from trainables.matrices import new_array
from trainables.networks.generators import seeded
from trainables.networks.inference import asked
from trainables.networks.performer import Head, ScBERTNetwork
from trainables.networks.precision import Precision, autocast, refuse_nan, usable
from trainables.networks.processes import parted
from trainables.networks.training import Loss
from trainables.store import Store

Trained = Literal["last", "second_to_last", "all"]


def freeze(network: ScBERTNetwork, trained: Trained) -> int:
    """Leave trainable the final norm, the head and one block; how many blocks lie before it.

    "last" as dist_finetune.py of Boiarsky et al. (`layers[-1]`), "second_to_last" as scBERT's own
    finetune.py (`layers[-2]`); "all" freezes nothing but positions.
    """
    if trained == "all":
        network.requires_grad_(True)
        if network.pos_emb is not None:
            network.pos_emb.requires_grad_(False)
        return 0
    depth = len(network.layers)
    block = depth - (1 if trained == "last" else 2)
    if block < 0:
        raise ValueError(f"trained={trained!r} needs two blocks, and the network has {depth}")
    network.requires_grad_(False)
    for part in (network.norm, network.layers[block], network.to_out):
        part.requires_grad_(True)
    return block


@dataclass
class Trunk:
    """The network up to its first trainable block, for the cells of one matrix of tokens."""

    network: ScBERTNetwork
    tokens: sparse.csr_matrix
    first: int
    frozen: bool
    precision: Precision
    kept: np.ndarray | None = None
    """What the frozen part said of every cell, where that was computed beforehand."""

    def __call__(self, rows: np.ndarray) -> Tensor:
        """Cells x length x dim, on the network's device."""
        device = self.network.token_emb.weight.device
        if self.kept is not None:
            return torch.from_numpy(self.kept[rows]).to(device)
        if not self.frozen:
            tokens = torch.from_numpy(dense(self.tokens[rows])).to(device)
            return self.network.blocks(self.network.embed(tokens), 0, self.first)
        return torch.cat([*self.said(rows)])

    def said(self, rows: np.ndarray) -> Iterator[Tensor]:
        """What the frozen part says, cell by cell where a cell's own output is asked for.

        Then it is the same to the last bit whether it was computed beforehand, in whatever company,
        and by however many threads.
        """
        device = self.network.token_emb.weight.device

        def of(some: np.ndarray) -> Tensor:
            with torch.no_grad(), autocast(device, self.precision):
                tokens = torch.from_numpy(dense(self.tokens[some])).to(device)
                return self.network.blocks(self.network.embed(tokens), 0, self.first)

        if self.network.stabiliser == "paper":
            return iter([of(rows)])
        if device.type == "cuda":
            return map(of, rows[:, None])
        return asked(lambda i: of(rows[i]), rows, device, torch.get_num_threads())

    def keep(self, store: Store) -> None:
        """Compute every cell's frozen part now, or find it in the store."""
        state = {
            key: value.cpu().numpy().tobytes()
            for key, value in self.network.state_dict().items()
            if not key.startswith(("norm.", "to_out.", "performer.calls"))
        }
        device, frozen = self.network.token_emb.weight.device, hashlib.sha256()
        for key in sorted(state):
            frozen.update(key.encode() + state[key])

        def make(draft: Path) -> None:
            size = self.network.size
            shape = (self.tokens.shape[0], size.length, size.dim)
            out = new_array(draft / "prefix.npy", np.float32, shape)
            for row, said in enumerate(self.said(np.arange(shape[0]))):
                out[row] = said.float().cpu().numpy()[0]
            out.flush()

        recipe = {
            "artifact": "scbert prefix",
            "version": 1,
            "network": frozen.hexdigest(),
            "heads": self.network.size.heads,
            "first": self.first,
            "precision": usable(self.precision, device),
            "device": device.type,  # other devices round otherwise
            "tokens": content(self.tokens),
        }
        home = store.get(recipe, make)
        self.kept = np.load(home / "prefix.npy", mmap_mode="r")


def classify(
    network: ScBERTNetwork,
    trunk: Trunk,
    batch: int,
    precision: Precision,
    order: np.ndarray | None = None,
) -> np.ndarray:
    """The class number of each of a trunk's cells, which come in `order`, or one after another.

    Which cells share a batch matters with stabiliser="paper" alone. Raises ValueError where a score
    is NaN or infinity.
    """
    device = network.token_emb.weight.device
    rows = np.arange(trunk.tokens.shape[0]) if order is None else order
    parts = []
    with torch.no_grad(), autocast(device, precision):
        for start in range(0, len(rows), batch):
            x = network.blocks(trunk(rows[start : start + batch]), trunk.first)
            parts.append(network.to_out(network.norm(x)).float().cpu().numpy())
    scores = np.concatenate(parts)[np.argsort(rows)]
    refuse_nan(scores, precision, device, "scbert")
    return scores.argmax(axis=1)


def with_head(network: ScBERTNetwork, classes: int, seed: int) -> ScBERTNetwork:
    """The network with a fresh head for cell types in the place of the one for bins."""
    device = network.token_emb.weight.device
    with seeded(seed, "head"):
        network.to_out = Head(network.size, classes).to(device)
    return network


def class_weights(
    how: str, y: np.ndarray, valid: np.ndarray, names: np.ndarray
) -> np.ndarray | None:
    """The loss's weight of each class, 1 / count, or None where `how` is "none".

    `y`: class numbers of the training cells; "paper" counts the types of `valid`, too.
    """
    if how == "none":
        return None
    counts = np.bincount(y, minlength=len(names))
    if how == "paper":
        counts = counts + np.array([(valid == name).sum() for name in names])
    return 1 / counts


def named_loss(
    network: ScBERTNetwork,
    trunk: Trunk,
    classes: np.ndarray,
    weight: np.ndarray | None,
    redraw: int,
    seed: int,
    parts: int = 1,
) -> Loss:
    """Cross-entropy of cell types, weighted by class where weights are given; a term a part."""
    device = network.token_emb.weight.device
    truth = torch.from_numpy(classes.astype(np.int64))
    weights = None if weight is None else torch.tensor(weight, dtype=torch.float32, device=device)

    def weighs(rows: np.ndarray) -> float:
        return float(len(rows) if weight is None else weight[classes[rows]].sum())

    def loss(rows: np.ndarray, draws: np.random.Generator) -> Iterator[Tensor]:
        network.redraw(redraw, seed)
        for some in parted(rows, parts):
            scores = network.to_out(network.norm(network.blocks(trunk(some), trunk.first)))
            mean = cross_entropy(scores.float(), truth[some].to(device), weight=weights)
            yield mean * (weighs(some) / weighs(rows))

    return loss
