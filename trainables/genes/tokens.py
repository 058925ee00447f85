"""Cells as scGPT reads them: the genes they express, each with its bin, behind a `<cls>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trainables.cells import blocks
from trainables.genes.binning import quantile_bins, tie_draws
from trainables.protocols import Cells

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PAD_VALUE, MASK_VALUE = -2.0, -1.0


@dataclass(frozen=True)
class Tokens:
    """What is stored in `binned`, cells x genes, are the tokens; `ids` is each gene's number."""

    binned: csr_matrix
    ids: np.ndarray
    pad: int
    cls: int
    cls_value: float

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each cell, `<cls>` included."""
        return np.diff(self.binned.indptr) + 1

    def masked(self, hide: np.ndarray) -> Tokens:
        """The same with some values hidden, one mark for each that is stored."""
        values = np.where(hide, np.float32(MASK_VALUE), self.binned.data)
        return replace(self, binned=like(self.binned, values))

    def sampled(self, rows: np.ndarray, longest: int, rng: np.random.Generator) -> Tokens:
        """Some cells, each with at most `longest` tokens, drawn by `rng`."""
        some = self.binned[rows]
        return replace(self, binned=at_most(some, longest - 1, rng.random(some.nnz)))

    def padded(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids (int64), values (float32), and where there is no token: rows x the longest of them.

        `<cls>` is first; padding is last, with the value -2.
        """
        some = self.binned[rows]
        there = (
            np.arange(int(np.diff(some.indptr).max(initial=0)) + 1) <= np.diff(some.indptr)[:, None]
        )
        ids = np.full(there.shape, self.pad, dtype=np.int64)
        values = np.full(there.shape, PAD_VALUE, dtype=np.float32)
        ids[:, 0], values[:, 0] = self.cls, self.cls_value
        genes = there.copy()
        genes[:, 0] = False
        ids[genes], values[genes] = self.ids[some.indices], some.data
        return ids, values, ~there


def tokenized(
    cells: Cells,
    columns: np.ndarray,
    ids: np.ndarray,
    vocabulary: Mapping[str, int],
    seed: int,
    *,
    n_bins: int = 51,
    ties: bool = True,
    cls_value: float = 0.0,
    longest: int | None = None,
    threads: int = 1,
) -> Tokens:
    """Tokens of the expressed genes among `columns`, whose numbers are `ids`.

    Bins are quantiles over these genes alone. `ties`: equal values go to random ones of the bins
    they span, as the authors' do, else to the highest. A cell with more than `longest` tokens,
    `<cls>` included, keeps a random draw of its genes, drawn once, as tokenize_and_pad_batch does.
    Both draws are the cell's own, whoever is beside it and however many `threads` share the cells.
    """
    from scipy.sparse import vstack

    parts = []
    for block in blocks(cells):
        # another layer's zeros may be stored; they are no tokens
        x = block.X[:, columns].astype(np.float32)
        x.eliminate_zeros()
        x.sort_indices()
        draws = tie_draws(x, block.obs_names, seed, threads=threads) if ties else None
        x.data = quantile_bins(x, n_bins, draws, threads=threads).astype(np.float32)
        if longest is not None:
            x = at_most(x, longest - 1, tie_draws(x, block.obs_names, seed, "tokens"))
        parts.append(x)
    binned = vstack(parts, format="csr")
    return Tokens(binned, ids, vocabulary["<pad>"], vocabulary["<cls>"], cls_value)


def like(x: csr_matrix, values: np.ndarray) -> csr_matrix:
    """Other values in the same places."""
    return type(x)((values, x.indices, x.indptr), shape=x.shape)


def at_most(x: csr_matrix, most: int, draws: np.ndarray) -> csr_matrix:
    """Each row with its `most` values of the smallest draws, in their order.

    >>> from scipy.sparse import csr_matrix
    >>> at_most(csr_matrix([[5, 6, 7], [0, 0, 8]]), 2, np.array([0.3, 0.9, 0.1, 0.5])).toarray()
    array([[5, 0, 7],
           [0, 0, 8]])
    """
    lengths = np.diff(x.indptr)
    if lengths.max(initial=0) <= most:
        return x
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((draws, rows))
    kept = np.zeros(len(rows), dtype=bool)
    kept[order] = np.arange(len(rows)) - x.indptr[rows] < most
    starts = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
    return type(x)((x.data[kept], x.indices[kept], starts), shape=x.shape)
