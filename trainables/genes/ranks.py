"""Cells as lists of genes, the most telling first: Geneformer's rank-value encoding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from scipy.sparse import csr_matrix

TARGET_SUM = 1e4
MOST = 2048
PAD = 0


def rank_values(
    counts: Any,
    tokens: np.ndarray,
    medians: np.ndarray,
    *,
    n_counts: np.ndarray | None = None,
    most: int = MOST,
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of each cell by falling count / n_counts x 1e4 / median, and how many there are.

    `counts`: CSR, cells x genes. `tokens`, `medians`: one per gene; a negative token or a median
    that is no positive number leaves a gene out. `n_counts`: what each cell's counts are divided
    by (default: their own sum over all genes, known or not); it cannot change the order.
    Zeros are left out, and equals stay in the order of the genes (the authors' sort is unstable).
    Returns int32, cells x longest, padded with 0; and lengths, at most `most`.

    After TranscriptomeTokenizer of Geneformer (V1): no special tokens.

    >>> counts = csr_matrix([[4, 0, 6], [0, 0, 0]])
    >>> ids, lengths = rank_values(counts, np.array([7, 8, 9]), np.array([1.0, 1.0, 3.0]))
    >>> ids.tolist(), lengths.tolist()
    ([[7, 9], [0, 0]], [2, 0])
    """
    counts = csr_matrix(counts)
    if not counts.has_sorted_indices:
        counts = counts.sorted_indices()
    sums = np.asarray(counts.sum(axis=1)).ravel() if n_counts is None else np.asarray(n_counts)
    known = (np.asarray(tokens) >= 0) & (np.asarray(medians, dtype=np.float64) > 0)
    medians = np.where(known, np.asarray(medians, dtype=np.float64), 0)
    starts = counts.indptr.astype(np.int64)
    every = expressed(counts.data, counts.indices, starts, medians)
    lengths = np.minimum(every, most)
    ids = np.full((len(every), lengths.max(initial=0)), PAD, dtype=np.int32)
    widest = np.empty(int(every.max(initial=0)))
    parts = counts.data, counts.indices, starts
    ordered(*parts, sums.astype(np.float64), np.asarray(tokens), medians, widest, ids)
    return ids, lengths


DIGIT = 2048
"""Of the radix sort: three digits of 11 bits hold a float32."""


@njit(cache=True, nogil=True)
def expressed(
    data: np.ndarray, indices: np.ndarray, starts: np.ndarray, medians: np.ndarray
) -> np.ndarray:
    """How many values of each cell are above zero, of genes with a median."""
    found = np.zeros(len(starts) - 1, dtype=np.int64)
    for cell in range(len(found)):
        for i in range(starts[cell], starts[cell + 1]):
            found[cell] += data[i] > 0 and medians[indices[i]] > 0
    return found


@njit(cache=True, nogil=True)
def ordered(
    data: np.ndarray,
    indices: np.ndarray,
    starts: np.ndarray,
    sums: np.ndarray,
    tokens: np.ndarray,
    medians: np.ndarray,
    values: np.ndarray,
    ids: np.ndarray,
) -> None:
    """Fill `ids`, cell by cell; `values` has room for the most genes of a cell.

    Sorted by the bits of float32, whose order is that of the numbers, then float64 decides what
    float32 rounds together: both stable, and a fraction of the time of sorting by comparison.
    """
    size = len(values)
    genes = np.empty(size, dtype=np.int64)
    order, other = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    rounded = np.empty(size, dtype=np.float32)
    bits = rounded.view(np.uint32)
    buckets = np.empty(DIGIT, dtype=np.int64)
    for cell in range(len(starts) - 1):
        n = 0
        for i in range(starts[cell], starts[cell + 1]):
            gene = indices[i]
            if data[i] > 0 and medians[gene] > 0:
                values[n] = np.float64(data[i]) / sums[cell] * TARGET_SUM / medians[gene]
                rounded[n], genes[n], order[n] = values[n], gene, n
                n += 1
        for shift in (0, 11, 22):
            buckets[:] = 0
            for i in range(n):
                buckets[(~bits[i] >> np.uint32(shift)) & np.uint32(DIGIT - 1)] += 1
            first = 0
            for digit in range(DIGIT):
                first, buckets[digit] = first + buckets[digit], first
            for i in range(n):
                digit = (~bits[order[i]] >> np.uint32(shift)) & np.uint32(DIGIT - 1)
                other[buckets[digit]] = order[i]
                buckets[digit] += 1
            order, other = other, order
        for i in range(1, n):
            one, place = order[i], i
            while place > 0 and values[order[place - 1]] < values[one]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = one
        for i in range(min(n, ids.shape[1])):
            ids[cell, i] = tokens[genes[order[i]]]


def framed(
    ids: np.ndarray, lengths: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same cells with a token before and one behind, as Geneformer's V2 has `<cls>`, `<eos>`.

    >>> framed(np.array([[7, 9], [5, 0]]), np.array([2, 1]), 2, 3)[0].tolist()
    [[2, 7, 9, 3], [2, 5, 3, 0]]
    """
    out = np.pad(ids, ((0, 0), (1, 1)), constant_values=PAD)
    out[:, 0] = first
    out[np.arange(len(ids)), lengths + 1] = last
    return out, lengths + 2


def places(ids: np.ndarray, lengths: np.ndarray, n_tokens: int) -> csr_matrix:
    """Where each token stands in its cell's list, from 1; the mean where it stands there often.

    `ids`: cells x longest, of which each cell's first `lengths` count. Returns CSR, cells x
    tokens, as `protocols.Reconstruction` wants it of ranks.

    >>> places(np.array([[3, 1, 3]]), np.array([3]), 4).toarray().tolist()
    [[0.0, 2.0, 0.0, 2.0]]
    """
    cells = np.repeat(np.arange(len(ids)), lengths)
    place = np.concatenate([np.arange(n) for n in lengths]) if len(lengths) else np.empty(0, int)
    token = np.asarray(ids)[cells, place]
    shape = len(ids), n_tokens
    total = csr_matrix((place + 1.0, (cells, token)), shape=shape)
    often = csr_matrix((np.ones(len(place)), (cells, token)), shape=shape)
    total.data /= often.data  # both have the same entries: places are never zero
    return total
