"""Cells that are there twice, or nearly: what lets a split put one cell into training and test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from trainables.matrices import forget, mapped_blocks

NEAR = 0.9999
"""Cosine of two log-normalised profiles above which we call them near-duplicates."""


def row_hashes(values: sparse.csr_matrix) -> np.ndarray:
    """Hash of each row's columns and values, as int64; 0 for rows without any.

    Indices must be sorted and zeros not stored.
    """
    found = np.zeros(values.shape[0], dtype=np.int64)
    for row in range(values.shape[0]):
        inside = slice(values.indptr[row], values.indptr[row + 1])
        if inside.start < inside.stop:
            key = hashlib.blake2b(values.indices[inside].astype(np.int64).tobytes(), digest_size=8)
            key.update(values.data[inside].astype(np.float64).tobytes())
            found[row] = int.from_bytes(key.digest(), "little", signed=True)
    return found


def first_copies(hashes: np.ndarray) -> np.ndarray:
    """For each cell the first cell with the same hash; -1 for empty cells.

    >>> first_copies(np.array([7, 9, 7, 0])).tolist()
    [0, 1, 0, -1]
    """
    _, first, number = np.unique(hashes, return_index=True, return_inverse=True)
    return np.where(hashes == 0, -1, first[number])


def originals(values: sparse.csr_matrix) -> np.ndarray:
    """For each row the first row with the very same values; -1 for rows without any.

    >>> originals(sparse.csr_matrix([[1, 0], [0, 2], [1, 0], [0, 0]])).tolist()
    [0, 1, 0, -1]
    """
    return first_copies(row_hashes(values))


def exact_duplicates(original: np.ndarray, labels: pd.Series | None) -> dict[str, Any]:
    """Cells whose expression is, value by value, that of an earlier cell.

    `pairs` are the first ten, each an original and its repeat.
    """
    repeats = np.flatnonzero((original >= 0) & (original != np.arange(len(original))))
    pairs = [(int(original[row]), int(row)) for row in repeats]
    return {"cells": len(pairs), "pairs": pairs[:10], "other_label": disagreeing(pairs, labels)}


def near_duplicates(
    values: sparse.csr_matrix,
    original: np.ndarray,
    labels: pd.Series | None,
    threshold: float = NEAR,
) -> dict[str, Any]:
    """Cells whose profile has a cosine above `threshold` with an earlier one's, but is not equal.

    Exact repeats are left out. A random projection to 64 dimensions nominates pairs and the full
    profiles decide: what is reported is exact, and about one pair in a million is missed.
    """
    pairs = []
    alone = np.flatnonzero(original == np.arange(len(original)))
    points, lengths = projected(values)
    for a, b in nominated(points[alone], threshold):
        a, b = alone[a], alone[b]
        for some in range(0, len(a), 2048):
            i, j = a[some : some + 2048], b[some : some + 2048]
            cosine = np.asarray(values[i].multiply(values[j]).sum(axis=1)).ravel()
            close = cosine / (lengths[i] * lengths[j]) > threshold
            pairs += [(int(min(p)), int(max(p))) for p in zip(i[close], j[close], strict=True)]
            forget(values)
    pairs.sort()
    return {
        "threshold": threshold,
        "cells": len({later for _, later in pairs}),
        "pairs": pairs[:10],
        "other_label": disagreeing(pairs, labels),
    }


def projected(values: sparse.csr_matrix, dimensions: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Each row, brought to length one, in a random projection; and its length before."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((values.shape[1], dimensions)).astype(np.float32)
    points, lengths = [], []
    for block in mapped_blocks(values):
        squares = np.asarray(block.multiply(block).sum(axis=1), dtype=np.float64).ravel()
        length = np.maximum(np.sqrt(squares), 1e-12)
        points.append((block @ directions) / length[:, None])
        lengths.append(length)
    joined = np.concatenate(points).astype(np.float32) / np.float32(np.sqrt(dimensions))
    return joined, np.concatenate(lengths)


def nominated(
    points: np.ndarray, threshold: float, block: int = 2048
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows that are close in a random projection (see `projected`), block by block.

    Rows are sorted along one direction in which close ones cannot be far apart, so that each
    block meets its neighbourhood only, and no n x n matrix ever exists.
    """
    dimensions = points.shape[1]
    reach = float(np.sqrt(2 * (1 - threshold)))  # how far apart such profiles are at most
    # along one Gaussian direction a distance grows by N(0, 1): six of them miss one in 1e8
    order = np.argsort(points[:, 0])
    line = points[order, 0] * np.sqrt(dimensions)
    within = (1.5 * reach) ** 2  # 64 dimensions keep a distance to +- 9 %
    for start in range(0, len(order), block):
        stop = min(start + block, len(order))
        end = int(np.searchsorted(line, line[stop - 1] + 6 * reach, side="right"))
        here = points[order[start:stop]]
        for other in range(start, end, block):
            last = min(other + block, end)
            there = points[order[other:last]]
            distance = squared(here)[:, None] + squared(there)[None] - 2 * here @ there.T
            i, j = np.nonzero(distance <= within)
            i, j = order[i + start], order[j + other]
            once = i < j if other == start else i != j  # within a block every pair is met twice
            if once.any():
                yield i[once], j[once]


def squared(points: np.ndarray) -> np.ndarray:
    """The squared length of each row."""
    return np.einsum("ij,ij->i", points, points)


def disagreeing(pairs: list[tuple[int, int]], labels: pd.Series | None) -> int:
    """How many pairs carry two different labels."""
    if labels is None:
        return 0
    known = labels.to_numpy()
    return sum(known[a] != known[b] for a, b in pairs)
