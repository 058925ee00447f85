"""Attention with dropout on CPU, where torch writes out every matrix of weights and of draws.

The arithmetic is that of `torch.nn.functional.scaled_dot_product_attention`, a few queries at a
time, so that weights stay in the cache; the way back computes them again instead of keeping them.
Draws are hashes of a seed and a position, so that they too can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.nn.attention import SDPBackend

from trainables.networks.inference import side_by_side

QUERIES, WEIGHTS = 256, 2**18
"""Queries computed at a time, for as many heads as give about so many weights."""


def sdpa_kernels(device: torch.device, precision: str) -> str:
    """Kernels that torch takes for `scaled_dot_product_attention`, with padding and without.

    As torch itself chooses them for heads of width 64, those of the published weights.

    >>> sdpa_kernels(torch.device("cpu"), "float32")
    'flash'
    """
    x = torch.zeros(1, 1, 8, 64, device=device, dtype=getattr(torch, precision))
    padding = torch.ones(1, 1, 1, 8, device=device, dtype=torch.bool)
    inner: Any = torch  # the choice is not part of its public names
    with torch.no_grad():
        chosen = {int(inner._fused_sdp_choice(x, x, x, mask)) for mask in (None, padding)}
    backend: Any = SDPBackend
    names = (backend(one).name.lower().removesuffix("_attention") for one in chosen)
    return "+".join(sorted(names))


def dropped_attention(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], p: float) -> Tensor:
    """Attention whose weights are dropped with probability `p`, to the nearest 1/65536.

    q, k, v: cells x heads x tokens x width. A cell's tokens end after its length: there is nothing
    to see behind it, and what comes out there is zero. Drawn by torch's global generator, whatever
    the number of threads.
    """
    seed = int(torch.randint(2**62, ()))
    return Dropped.apply(q, k, v, tuple(lengths), p, seed)


class Dropped(torch.autograd.Function):
    """See `dropped_attention`."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, *how: Any) -> Tensor:
        lengths, p, seed = how
        out = torch.zeros_like(q)

        def some_heads(cell: int, heads: slice) -> None:
            n, key = lengths[cell], seed + cell * q.shape[1] + heads.start
            keys, values = k[cell, heads, :n].mT, v[cell, heads, :n]
            for some in pieces(n):
                weights = softmax(q[cell, heads, some], keys)
                drop(weights.numpy(), p, key, some.start)
                out[cell, heads, some] = torch.bmm(weights, values)

        for_heads(some_heads, q.shape, lengths)
        ctx.save_for_backward(q, k, v, out)
        ctx.how = how
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        lengths, p, seed = ctx.how
        grad = grads[0]
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        scale = q.shape[-1] ** -0.5

        def some_heads(cell: int, heads: slice) -> None:
            n, key = lengths[cell], seed + cell * q.shape[1] + heads.start
            keys, values = k[cell, heads, :n], v[cell, heads, :n]
            for some in pieces(n):
                query, back = q[cell, heads, some], grad[cell, heads, some]
                weights = softmax(query, keys.mT)
                slopes = torch.bmm(back, values.mT)
                means = (back * out[cell, heads, some]).sum(dim=-1)
                drop_back(weights.numpy(), slopes.numpy(), means.numpy(), p, key, some.start)
                dv[cell, heads, :n] += torch.bmm(weights.mT, back)
                dq[cell, heads, some] = torch.bmm(slopes, keys) * scale
                dk[cell, heads, :n] += torch.bmm(slopes.mT, query * scale)

        for_heads(some_heads, q.shape, lengths)
        return dq, dk, dv, None, None, None


def softmax(query: Tensor, keys: Tensor) -> Tensor:
    """The weights of some queries: heads x queries x keys."""
    return torch.softmax(torch.bmm(query * query.shape[-1] ** -0.5, keys), dim=-1)


def pieces(n: int) -> list[slice]:
    """Queries in order, some at a time."""
    return [slice(start, min(start + QUERIES, n)) for start in range(0, n, QUERIES)]


def for_heads(
    some_heads: Callable[[int, slice], None], shape: torch.Size, lengths: Sequence[int]
) -> None:
    """Every head of every cell, few at once where a cell is long.

    One thread computes them, as many at once as torch may use.
    """
    todo = []
    for cell, n in enumerate(lengths):
        at_once = max(1, WEIGHTS // (min(n, QUERIES) * n))
        starts = range(0, shape[1], at_once)
        todo += [(cell, slice(start, min(start + at_once, shape[1]))) for start in starts]

    side_by_side(lambda part: some_heads(*part), todo, torch.get_num_threads())


@njit(cache=True, nogil=True)
def bits_of(key: int, row: int, group: int) -> np.uint64:
    """64 random bits of four neighbouring weights (SplitMix64's finaliser)."""
    bits = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    bits += np.uint64(row) * np.uint64(0xD1B54A32D192ED03)
    bits ^= bits >> np.uint64(29)
    bits += np.uint64(group) * np.uint64(0x8CB92BA72F3D8DD7)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(cache=True, nogil=True)
def drop(weights: np.ndarray, p: float, key: int, first: int) -> None:
    """Heads x queries x keys, in place: some dropped, the others larger by as much.

    `key` is the first head's, `first` the first query's place.
    """
    limit = np.uint64(round(p * 65536))
    larger = weights.dtype.type(65536 / (65536 - limit))
    heads, queries, keys = weights.shape
    for h in range(heads):
        for i in range(queries):
            for group in range(0, keys, 4):
                bits = bits_of(key + h, first + i, group)
                for j in range(group, min(group + 4, keys)):
                    kept = (bits & np.uint64(0xFFFF)) >= limit
                    weights[h, i, j] *= larger if kept else weights.dtype.type(0)
                    bits >>= np.uint64(16)


@njit(cache=True, nogil=True)
def drop_back(
    weights: np.ndarray, slopes: np.ndarray, means: np.ndarray, p: float, key: int, first: int
) -> None:
    """In place: weights become the dropped ones, slopes (of those) become slopes of scores."""
    limit = np.uint64(round(p * 65536))
    larger = weights.dtype.type(65536 / (65536 - limit))
    heads, queries, keys = weights.shape
    for h in range(heads):
        for i in range(queries):
            for group in range(0, keys, 4):
                bits = bits_of(key + h, first + i, group)
                for j in range(group, min(group + 4, keys)):
                    kept = (bits & np.uint64(0xFFFF)) >= limit
                    factor = larger if kept else weights.dtype.type(0)
                    slopes[h, i, j] = weights[h, i, j] * (slopes[h, i, j] * factor - means[h, i])
                    weights[h, i, j] *= factor
                    bits >>= np.uint64(16)
