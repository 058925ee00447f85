"""A post-norm transformer encoder whose keys are those of `torch.nn.TransformerEncoder`.

Torch's own, in eval mode without gradients, takes a path that is five times slower on CPU than the
fused attention that this one always asks for, and refuses autocast there.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class There:
    """Which tokens there are: what attention may look at."""

    allowed: Tensor | None = None
    """A mask that spreads over cells x heads x queries x keys; None where all are there."""
    lengths: tuple[int, ...] = ()
    """Tokens of each cell, where they all come first; known on CPU only."""

    @classmethod
    def of(cls, x: Tensor, padding: Tensor | None) -> There:
        """From x, cells x tokens x width, and where there is no token."""
        if padding is None or not bool(padding.any()):
            return cls(None, (x.shape[1],) * len(x))
        lengths = (~padding).sum(dim=1)
        first = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        on_cpu = x.device.type == "cpu" and bool((first == ~padding).all())
        return cls(~padding[:, None, None, :], tuple(lengths.tolist()) if on_cpu else ())


class Attention(nn.Module):
    """Multi-head self-attention; parameters as in `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} cannot be shared by {heads} heads")
        self.heads, self.dropout = heads, dropout
        # the initialisation of the authors' flash-attn layer, a plain Linear
        fused = nn.Linear(width, 3 * width)
        self.in_proj_weight, self.in_proj_bias = fused.weight, fused.bias
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, there: There, asking: int | None = None) -> Tensor:
        """x: cells x tokens x width; the first `asking` tokens (default: all) look at all."""
        width = x.shape[-1]
        if asking is None:
            q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        else:
            weights, biases = (
                part.split([width, 2 * width]) for part in (self.in_proj_weight, self.in_proj_bias)
            )
            q = F.linear(x[:, :asking], weights[0], biases[0])
            k, v = F.linear(x, weights[1], biases[1]).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        return self.out_proj(self.seen(q, k, v, there).transpose(1, 2).flatten(2))

    def seen(self, q: Tensor, k: Tensor, v: Tensor, there: There) -> Tensor:
        """Attention itself, by whatever kernel is fastest where it runs."""
        dropout = self.dropout if self.training else 0.0
        if dropout and q.device.type == "cpu" and there.lengths and q.shape == k.shape:
            from trainables.networks.attention import dropped_attention

            return dropped_attention(q, k, v, there.lengths, dropout)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=there.allowed, dropout_p=dropout)


class Layer(nn.Module):
    """Attention, then two linear maps, each added to its input and normalised after."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, there: There, asking: int | None = None) -> Tensor:
        """cells x tokens x width, of the first `asking` tokens only where that is given."""
        x = self.norm1(x[:, :asking] + self.dropout(self.self_attn(x, there, asking)))
        inner = self.dropout(F.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(inner)))


class Encoder(nn.Module):
    """Layers one after another; all start as copies of the first, as torch's encoder makes them."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        first = Layer(width, heads, hidden, dropout)
        self.layers = nn.ModuleList(copy.deepcopy(first) for _ in range(layers))

    def forward(self, x: Tensor, padding: Tensor | None, asking: int | None = None) -> Tensor:
        """x: cells x tokens x width; `padding` is True where there is no token, None nowhere.

        With `asking`, the last layer is computed for the first tokens alone. What comes out at
        padding means nothing.
        """
        there = There.of(x, padding)
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            x = layer(x, there, asking if i == last else None)
        return x
