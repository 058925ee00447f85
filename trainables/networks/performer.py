"""scBERT's network: a Performer over genes whose positions are gene2vec, and its two heads.

Built of performer-pytorch 1.1.4 under the names of the authors' checkpoints
(TencentAILabHealthcare/scBERT, performer_pytorch.py, panglao_pretrain.pth). Replaced is the kernel
of its attention, which subtracts another maximum there, see `KernelAttention`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from performer_pytorch.performer_pytorch import (
    AbsolutePositionalEmbedding,
    Performer,
)
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from trainables.genes.panel import dense
from trainables.networks.generators import seeded
from trainables.networks.inference import asked
from trainables.networks.kernels import KernelAttention, Stabiliser, pieces
from trainables.networks.precision import Precision, autocast

TOKENS = 7
"""Bins 0 to 5, and the mask."""
MASK = 6


@dataclass(frozen=True)
class Size:
    """The architecture; the defaults are the authors'."""

    genes: int = 16906
    dim: int = 200
    depth: int = 6
    heads: int = 10
    dim_head: int = 64
    ff_mult: int = 4
    gene2vec: bool = True

    @property
    def length(self) -> int:
        """Positions: the genes, and the token 0 that the authors append to every cell."""
        return self.genes + 1


class ScBERTNetwork(nn.Module):
    """Tokens, one a gene and a last one, to encodings; `to_out` then gives bins or cell types.

    The state has the authors' keys, one for one. Positions are frozen, as theirs are.
    """

    def __init__(self, size: Size, stabiliser: Stabiliser = "per_cell") -> None:
        super().__init__()
        self.size, self.stabiliser = size, stabiliser
        self.token_emb = nn.Embedding(TOKENS, size.dim)
        self.pos_emb = AbsolutePositionalEmbedding(size.dim, size.length) if size.gene2vec else None
        self.performer: Any = Performer(
            size.dim,
            size.depth,
            size.heads,
            size.dim_head,
            ff_mult=size.ff_mult,
            qkv_bias=False,
            attn_out_bias=True,
        )
        del self.performer.proj_updater  # it holds every layer a second time
        self.performer.register_buffer("calls_since_last_redraw", torch.tensor(0))
        for attention, _ in self.layers:
            attention.fn.fast_attention = KernelAttention(size.dim_head, stabiliser)
        self.norm = nn.LayerNorm(size.dim)
        self.to_out: Any = nn.Linear(size.dim, TOKENS)
        if self.pos_emb is not None:
            self.pos_emb.requires_grad_(False)

    @property
    def layers(self) -> Any:
        """The blocks: a list of pairs of attention and feed-forward network."""
        return self.performer.net.layers

    def place(self, positions: Any) -> None:
        """Set the positions: genes x dim; the appended token's is zero.

        Raises ValueError where they are of another shape.
        """
        wanted = (self.size.genes, self.size.dim)
        if self.pos_emb is None or tuple(positions.shape) != wanted:
            raise ValueError(
                f"the positions are {tuple(positions.shape)} and the network needs {wanted}: one"
                " row a gene, in the order of its genes"
            )
        with torch.no_grad():
            self.pos_emb.emb.weight.zero_()
            self.pos_emb.emb.weight[:-1] = torch.as_tensor(positions)

    def embed(self, tokens: Tensor) -> Tensor:
        """Cells x length to cells x length x dim."""
        x = self.token_emb(tokens)
        return x if self.pos_emb is None else x + self.pos_emb(tokens)

    def blocks(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Through the blocks from `first` up to, not including, `last`."""
        for attention, feed in list(self.layers)[first:last]:
            x = x + read(attention, x)
            some = [x] if torch.is_grad_enabled() else pieces(x)
            x = torch.cat([part + feed(part) for part in some], dim=1)
        return x

    def encode(self, tokens: Tensor) -> Tensor:
        """The encodings that both heads and `embed` of the model read."""
        return self.norm(self.blocks(self.embed(tokens)))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.to_out(self.encode(tokens))

    def redraw(self, every: int, seed: int) -> None:
        """Count a training pass, and draw all random features anew every `every` of them.

        The new ones are named by the old ones and the seed, so that all processes of a training,
        and one that goes on after a kill, draw the same. 0: never.
        """
        calls = self.performer.calls_since_last_redraw
        if not every or int(calls) < every:
            calls += 1
            return
        matrix = self.layers[0][0].fn.fast_attention.projection_matrix
        old = hashlib.sha256(matrix.cpu().numpy().tobytes()).hexdigest()
        with seeded(seed, f"redraw {old}"):
            for attention, _ in self.layers:
                attention.fn.fast_attention.redraw_projection_matrix("cpu")
        calls.zero_()


def read(attention: Any, x: Tensor) -> Tensor:
    """What performer-pytorch's attention says of x; heads are views, where it copies them."""
    x, layer = attention.norm(x), attention.fn
    q, k, v = (
        part(x).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        for part in (layer.to_q, layer.to_k, layer.to_v)
    )
    return layer.to_out(layer.fast_attention(q, k, v).transpose(1, 2).flatten(2))


class Head(nn.Module):
    """The authors' classifier: one number a position, then three layers over all positions.

    `Identity` of finetune.py: conv1 (1 x dim), fc1 (512), fc2 (128), fc3 (classes); no dropout.
    """

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 1, (1, size.dim))
        self.fc1 = nn.Linear(size.length, 512)
        self.fc2 = nn.Linear(512, 128)
        self.fc3 = nn.Linear(128, classes)

    def forward(self, encodings: Tensor) -> Tensor:
        """Cells x positions x dim to cells x classes."""
        x = relu(linear(encodings, self.conv1.weight.reshape(1, -1), self.conv1.bias))
        return self.fc3(relu(self.fc2(relu(self.fc1(x.squeeze(-1))))))


def means(
    network: ScBERTNetwork,
    tokens: sparse.csr_matrix,
    batch: int,
    precision: Precision,
    workers: int = 1,
) -> np.ndarray:
    """The mean of each cell's encodings over all positions: cells x dim, float32.

    On a CPU `workers` cells are computed side by side, unless a cell's output depends on its batch.
    """
    device = network.token_emb.weight.device

    def mean(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad(), autocast(device, precision):
            some = torch.from_numpy(dense(tokens[rows])).to(device)
            return network.encode(some).float().mean(dim=1).cpu().numpy()

    everyone = np.arange(tokens.shape[0])
    if device.type == "cpu" and network.stabiliser == "per_cell":
        return np.concatenate([*asked(mean, everyone, device, workers)])
    starts = range(0, len(everyone), batch)
    return np.concatenate([mean(everyone[start : start + batch]) for start in starts])


def official(key: str) -> str | None:
    """A key of any scBERT checkpoint under the authors' name; None for a copy of another key.

    performer-pytorch itself keeps the counter elsewhere and every layer twice.

    >>> official("performer.proj_updater.calls_since_last_redraw")
    'performer.calls_since_last_redraw'
    """
    if key.startswith("performer.proj_updater.instance."):
        return None
    return key.replace("performer.proj_updater.", "performer.")
