"""Cells that are there twice, or nearly: what lets a split put one cell into training and test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

NEAR = 0.9999
"""Cosine of two log-normalised profiles above which we call them near-duplicates."""


def originals(values: sparse.csr_matrix) -> np.ndarray:
    """For each row the first row with the very same values; -1 for rows without any.

    >>> originals(sparse.csr_matrix([[1, 0], [0, 2], [1, 0], [0, 0]])).tolist()
    [0, 1, 0, -1]
    """
    first: dict[bytes, int] = {}
    found = np.full(values.shape[0], -1)
    for row in range(values.shape[0]):
        inside = slice(values.indptr[row], values.indptr[row + 1])
        if inside.start < inside.stop:
            key = hashlib.blake2b(values.indices[inside].tobytes(), digest_size=16)
            key.update(values.data[inside].tobytes())
            found[row] = first.setdefault(key.digest(), row)
    return found


def exact_duplicates(original: np.ndarray, labels: pd.Series | None) -> dict[str, Any]:
    """Cells whose expression is, value by value, that of an earlier cell.

    `pairs` are the first ten, each an original and its repeat.
    """
    repeats = np.flatnonzero((original >= 0) & (original != np.arange(len(original))))
    pairs = [(int(original[row]), int(row)) for row in repeats]
    return {"cells": len(pairs), "pairs": pairs[:10], "other_label": disagreeing(pairs, labels)}


def near_duplicates(
    rows: sparse.csr_matrix,
    original: np.ndarray,
    labels: pd.Series | None,
    threshold: float = NEAR,
) -> dict[str, Any]:
    """Cells whose profile has a cosine above `threshold` with an earlier one's, but is not equal.

    `rows` have length one; exact repeats are left out. A random projection to 64 dimensions
    nominates pairs and the full profiles decide: what is reported is exact, and about one pair in
    a million is missed.
    """
    pairs = []
    alone = np.flatnonzero(original == np.arange(len(original)))
    for a, b in nominated(rows[alone], threshold):
        a, b = alone[a], alone[b]
        cosine = np.asarray(rows[a].multiply(rows[b]).sum(axis=1)).ravel()
        close = cosine > threshold
        pairs += [(int(min(p)), int(max(p))) for p in zip(a[close], b[close], strict=True)]
    pairs.sort()
    return {
        "threshold": threshold,
        "cells": len({later for _, later in pairs}),
        "pairs": pairs[:10],
        "other_label": disagreeing(pairs, labels),
    }


def nominated(
    rows: sparse.csr_matrix, threshold: float, dimensions: int = 64, block: int = 2048
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows close in a random projection, block by block.

    Rows are sorted along one direction in which close ones cannot be far apart, so that each
    block meets its neighbourhood only, and no n x n matrix ever exists.
    """
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((rows.shape[1], dimensions)).astype(np.float32)
    points = np.asarray(rows @ directions, dtype=np.float32) / np.float32(np.sqrt(dimensions))
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
