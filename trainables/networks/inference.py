"""Networks asked about many cells, such that no cell's answer depends on which others there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")
TOKENS_ON_GPU = 2**16
"""Tokens of a batch, padding included."""


@contextlib.contextmanager
def threads(n: int) -> Iterator[None]:
    """Torch computes with so many threads: sums round alike wherever a trial runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def asked(
    answer: Callable[[np.ndarray], T],
    lengths: np.ndarray,
    device: torch.device,
    workers: int,
    parts: int = 1,
) -> Iterator[T]:
    """What `answer` says of each of the `batches`, without gradients, in their order.

    On CPU `workers` cells are computed at a time, each by one thread, which never waits for
    another as those that share a cell do: the number of workers changes no bit of any answer.
    """

    def alone(rows: np.ndarray) -> T:
        with torch.no_grad():  # which every thread has for itself
            return answer(rows)

    if device.type == "cuda":
        yield from map(alone, batches(lengths, device, parts))
        return
    with threads(1), ThreadPoolExecutor(workers) as pool:
        yield from pool.map(alone, batches(lengths, device))


def side_by_side(work: Callable[[T], object], items: Sequence[T], workers: int) -> None:
    """Work without gradients on each item by one thread, on `workers` of them at a time."""

    def alone(item: T) -> None:
        with torch.no_grad():  # which every thread has for itself
            work(item)

    if workers == 1:
        for item in items:
            alone(item)
        return
    with threads(1), ThreadPoolExecutor(workers) as pool:
        list(pool.map(alone, items))  # a list, so that errors are raised


def batches(lengths: np.ndarray, device: torch.device, parts: int = 1) -> Iterator[np.ndarray]:
    """Every row once, in batches to be computed together; smaller ones with more `parts`.

    On CPU one by one: nothing is padded, no shape depends on a neighbour, and so neither does a
    rounding. On a GPU those of about the same length, as many as fit.

    >>> [rows.tolist() for rows in batches(np.array([5, 2]), torch.device("cpu"))]
    [[0], [1]]
    """
    if device.type != "cuda":
        yield from np.arange(len(lengths))[:, None]
        return
    yield from parted(np.arange(len(lengths)), lengths, TOKENS_ON_GPU // parts)


def parted(rows: np.ndarray, lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """The rows, short ones first, in groups that take no more than `tokens` when padded.

    >>> lengths = np.array([9, 2, 3, 8])
    >>> [group.tolist() for group in parted(np.arange(4), lengths, tokens=20)]
    [[1, 2], [3, 0]]
    """
    order = rows[np.argsort(lengths[rows], kind="stable")]
    start = 0
    for end in range(1, len(order) + 1):
        over = end == len(order) or (end + 1 - start) * lengths[order[end]] > tokens
        if over:
            yield order[start:end]
            start = end
