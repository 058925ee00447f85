"""Attention with dropout on CPU, where torch writes out every matrix of weights and of draws.

The arithmetic is that of `torch.nn.functional.scaled_dot_product_attention`, a few queries at a
time, so that weights stay in the cache; the way back computes them again instead of keeping them.
Draws are hashes of a seed and a position, so that they too can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from trainables.networks.inference import threads

QUERIES = 256
"""Computed at a time."""


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

        def head(cell: int, h: int) -> None:
            n, key = lengths[cell], seed + cell * q.shape[1] + h
            keys, values = k[cell, h, :n].T, v[cell, h, :n]
            for some in pieces(n):
                weights = softmax(q[cell, h, some], keys)
                drop(weights.numpy(), weights.numpy(), p, key, some.start)
                torch.mm(weights, values, out=out[cell, h, some])

        for_each_head(head, q.shape)
        ctx.save_for_backward(q, k, v, out)
        ctx.how = how
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        lengths, p, seed = ctx.how
        grad = grads[0].contiguous()
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        scale = q.shape[-1] ** -0.5

        def head(cell: int, h: int) -> None:
            n, key = lengths[cell], seed + cell * q.shape[1] + h
            keys, values = k[cell, h, :n], v[cell, h, :n]
            for some in pieces(n):
                query, back = q[cell, h, some], grad[cell, h, some]
                weights = softmax(query, keys.T)
                slopes = torch.mm(back, values.T)
                means = (back * out[cell, h, some]).sum(dim=1)
                drop_back(weights.numpy(), slopes.numpy(), means.numpy(), p, key, some.start)
                dv[cell, h, :n].addmm_(weights.T, back)
                torch.mm(slopes, keys, out=dq[cell, h, some]).mul_(scale)
                dk[cell, h, :n].addmm_(slopes.T, query, alpha=scale)

        for_each_head(head, q.shape)
        return dq, dk, dv, None, None, None


def softmax(query: Tensor, keys: Tensor) -> Tensor:
    """The weights of some queries: queries x keys."""
    scores = torch.mm(query * query.shape[-1] ** -0.5, keys)
    return torch.softmax(scores, dim=-1)


def pieces(n: int) -> list[slice]:
    """Queries in order, some at a time."""
    return [slice(start, min(start + QUERIES, n)) for start in range(0, n, QUERIES)]


def for_each_head(head: Callable[[int, int], None], shape: torch.Size) -> None:
    """Every head of every cell, each computed by one thread, as many at once as torch may use."""

    def alone(pair: tuple[int, int]) -> None:
        with torch.no_grad():  # which every thread has for itself
            head(*pair)

    pairs = [(cell, h) for cell in range(shape[0]) for h in range(shape[1])]
    workers = torch.get_num_threads()
    if workers == 1:
        for pair in pairs:
            alone(pair)
        return
    with threads(1), ThreadPoolExecutor(workers) as pool:
        list(pool.map(alone, pairs))  # a list, so that errors are raised


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
def drop(weights: np.ndarray, out: np.ndarray, p: float, key: int, first: int) -> None:
    """Weights with some dropped and the others larger by as much; `first` is the first row's."""
    limit = np.uint64(round(p * 65536))
    larger = weights.dtype.type(65536 / (65536 - limit))
    for i in range(weights.shape[0]):
        for group in range(0, weights.shape[1], 4):
            bits = bits_of(key, first + i, group)
            for j in range(group, min(group + 4, weights.shape[1])):
                kept = (bits & np.uint64(0xFFFF)) >= limit
                out[i, j] = weights[i, j] * larger if kept else 0
                bits >>= np.uint64(16)


@njit(cache=True, nogil=True)
def drop_back(
    weights: np.ndarray, slopes: np.ndarray, means: np.ndarray, p: float, key: int, first: int
) -> None:
    """In place: weights become the dropped ones, slopes (of those) become slopes of scores."""
    limit = np.uint64(round(p * 65536))
    larger = weights.dtype.type(65536 / (65536 - limit))
    for i in range(weights.shape[0]):
        for group in range(0, weights.shape[1], 4):
            bits = bits_of(key, first + i, group)
            for j in range(group, min(group + 4, weights.shape[1])):
                factor = larger if (bits & np.uint64(0xFFFF)) >= limit else weights.dtype.type(0)
                slopes[i, j] = weights[i, j] * (slopes[i, j] * factor - means[i])
                weights[i, j] *= factor
                bits >>= np.uint64(16)
