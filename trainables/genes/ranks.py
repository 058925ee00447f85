"""Cells as lists of genes, the most telling first: Geneformer's rank-value encoding."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from trainables.genes.kernels import ranked, side_by_side
from trainables.protocols import Cells

TARGET_SUM = 1e4
MOST = 2048
PAD = 0


def to_rank(cells: Cells, values: str) -> tuple[csr_matrix, np.ndarray]:
    """What is ranked, and what each cell's values are divided by.

    `values` is "counts", which logged cells that have none are un-logged to, or "X".
    """
    if values == "X":
        warnings.warn(
            "geneformer ranks logged values over medians of counts: its tokens are not those"
            " of counts, and that is what happened to Kedzierska et al.",
            stacklevel=2,
        )
    if values == "counts" and "counts" in cells.layers:
        counts = csr_matrix(cells.layers["counts"])
        return counts, np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    x = csr_matrix(cells.X, copy=True)
    if values == "counts":
        warnings.warn(
            "geneformer was given logged values without counts: X is un-logged as"
            " ln(1 + counts per 10,000), and ranks are wrong where it is anything else",
            stacklevel=2,
        )
        x = csr_matrix(x, dtype=np.float64)
        x.data = np.expm1(x.data)
    return x, np.full(cells.n_obs, 1e4)


def rank_values(
    counts: Any,
    tokens: np.ndarray,
    medians: np.ndarray,
    *,
    n_counts: np.ndarray | None = None,
    most: int = MOST,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of each cell by falling count / n_counts x 1e4 / median, and how many there are.

    `counts`: CSR, cells x genes. `tokens`, `medians`: one per gene; a negative token or a median
    that is no positive number leaves a gene out. `n_counts`: what each cell's counts are divided
    by (default: their own sum over all genes, known or not); it cannot change the order.
    Zeros are left out, and equals stay in the order of the genes (the authors' sort is unstable).
    Returns int16, as the authors' datasets have it, or int32 where tokens need it, cells x longest,
    padded with 0; and lengths, at most `most`. `threads` share the cells.

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
    sums, tokens = sums.astype(np.float64), np.asarray(tokens)
    medians = np.asarray(medians, dtype=np.float64)
    medians = np.where((tokens >= 0) & (medians > 0), medians, 0)
    starts = counts.indptr
    kind = np.int16 if tokens.max(initial=0) <= np.iinfo(np.int16).max else np.int32
    ids = np.zeros((len(sums), min(most, int(np.diff(starts).max(initial=0)))), dtype=kind)
    lengths = np.zeros(len(sums), dtype=np.int64)

    def work(rows: slice) -> None:
        some = starts[rows.start : rows.stop + 1], sums[rows], TARGET_SUM
        ranked(counts.data, counts.indices, *some, tokens, medians, ids[rows], lengths[rows])

    side_by_side(work, starts, threads)
    return ids[:, : lengths.max(initial=0)], lengths


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
