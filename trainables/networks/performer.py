"""scBERT's network: a Performer over genes whose positions are gene2vec, and its two heads.

Built of performer-pytorch 1.1.4 under the names of the authors' checkpoints
(TencentAILabHealthcare/scBERT, performer_pytorch.py, panglao_pretrain.pth). Replaced is the kernel
of its attention, which subtracts another maximum there, see `KernelAttention`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from performer_pytorch.performer_pytorch import (
    AbsolutePositionalEmbedding,
    FastAttention,
    Performer,
)
from scipy import sparse
from torch import Tensor, nn
from torch.nn.functional import linear, relu
from torch.utils.checkpoint import checkpoint

from trainables.genes.panel import dense
from trainables.networks.inference import asked
from trainables.networks.training import Precision, autocast, seeded

TOKENS = 7
"""Bins 0 to 5, and the mask."""
MASK = 6
EPSILON = 1e-4
"""What the authors' kernel adds to each feature."""
AT_ONCE = {"cpu": 2**26, "cuda": 2**27}
"""Numbers of features held at once; where there are more, heads are gone through in parts, and
their features are computed again for gradients rather than kept."""
IN_CACHE = 2**20
"""The same on a CPU where nothing is kept for gradients: a core's cache is quicker than memory."""

Stabiliser = Literal["per_cell", "paper"]


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


class KernelAttention(FastAttention):
    """Attention by random features of exp(q.k), from all positions to all.

    The exponents of the keys are made harmless by a maximum that is subtracted; because of the
    `EPSILON` added later, it matters which one. `stabiliser` "paper" takes one over the batch, as
    the authors' code does, so that a cell's output depends on its batch; "per_cell" takes each
    cell's own, over heads, positions and features: what the authors' code does to a batch of one.
    """

    projection_matrix: Tensor
    nb_features: int

    def __init__(self, dim_head: int, stabiliser: Stabiliser) -> None:
        super().__init__(dim_head)
        self.stabiliser = stabiliser

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Cells x heads x positions x dim_head, three times, to the same, in float32."""
        with torch.autocast(q.device.type, enabled=False):  # exponents bear no lower precision
            q, k, v = q.float(), k.float(), v.float()
            features = q.shape[0] * q.shape[2] * self.nb_features  # of one head
            limit = AT_ONCE.get(q.device.type, AT_ONCE["cpu"])
            if q.device.type == "cpu" and not torch.is_grad_enabled():
                limit = IN_CACHE
            if features * q.shape[1] <= limit:
                projected = self.projected(k)
                return self.attend(q, k, v, self.top(k, [projected]), projected)
            at_once = max(1, limit // features)
            top = self.top(k, (self.projected(some) for some in k.split(at_once, dim=1)))
            attend = partial(checkpoint, self.attend, use_reentrant=False)
            if not torch.is_grad_enabled():
                attend = self.attend
            parts = zip(*(x.split(at_once, dim=1) for x in (q, k, v)), strict=True)
            return torch.cat([attend(*some, top) for some in parts], dim=1)  # pyright: ignore

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, top: Tensor, projected: Tensor | None = None
    ) -> Tensor:
        """What each position of some heads reads; `projected` are the keys', where known.

        A feature is exp(.) + EPSILON, over the root of their number, which cancels; the EPSILON is
        added to sums of features rather than to each.
        """
        read = self.projected(q)
        read = self.exponential(q, read, read.amax(dim=-1, keepdim=True))
        kept = self.exponential(k, self.projected(k) if projected is None else projected, top)
        total = kept.sum(dim=-2).unsqueeze(-1) + EPSILON * k.shape[-2]
        context = kept.transpose(-1, -2) @ v + EPSILON * v.sum(dim=-2, keepdim=True)
        both = torch.cat([context, total], dim=-1)
        said = read @ both + EPSILON * both.sum(dim=-2, keepdim=True)
        return said[..., :-1] / said[..., -1:]

    def projected(self, x: Tensor) -> Tensor:
        """The exponents before anything is subtracted: ... x positions x features."""
        return (x * x.shape[-1] ** -0.25) @ self.projection_matrix.T

    def exponential(self, x: Tensor, projected: Tensor, top: Tensor) -> Tensor:
        """Positive features of the softmax kernel (Choromanski et al. 2021), save EPSILON."""
        less = (x**2).sum(dim=-1, keepdim=True) * (x.shape[-1] ** -0.5 / 2) + top
        if torch.is_grad_enabled():
            return torch.exp(projected - less)
        return projected.sub_(less).exp_()

    def top(self, k: Tensor, projected: Iterable[Tensor]) -> Tensor:
        """The keys' largest exponent, of each cell or of all: cells (or 1) x 1 x 1 x 1.

        `projected` are those of some heads after the other. It is found without gradients, so that
        no more is kept of it than its own gradient needs.
        """
        flat = []
        with torch.no_grad():
            for some in projected:
                value, feature = some.max(dim=-1)  # cells x heads x positions
                flat.append(torch.stack([value, feature.to(value.dtype)]))
            value, feature = torch.cat(flat, dim=2)
            cells = 1 if self.stabiliser == "paper" else len(k)
            at = value.reshape(cells, -1).argmax(dim=1)
            feature = feature.reshape(cells, -1).gather(1, at[:, None])[:, 0].long()
        row = k.reshape(cells, -1, k.shape[-1])[torch.arange(cells, device=k.device), at]
        best = ((row * k.shape[-1] ** -0.25) * self.projection_matrix[feature]).sum(dim=-1)
        return best[:, None, None, None]


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
            x = x + attention(x)
            x = x + feed(x)
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
