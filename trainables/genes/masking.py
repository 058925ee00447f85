"""Bins hidden from a network that is to guess them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from trainables.genes.panel import dense
from trainables.protocols import Pretrained

MASK = 6
SHARE, REPLACED = 0.15, 0.9
"""dist_pretrain.py: 15 % of a cell's tokens are asked for, nine in ten of them not shown."""


@dataclass(frozen=True)
class Masked:
    """Cells with tokens to guess."""

    tokens: sparse.csr_matrix
    chosen: np.ndarray
    """Which of the stored tokens are asked for."""
    hidden: np.ndarray
    """Which of these the network does not see."""

    def part(self, start: int, stop: int) -> Masked:
        """The cells from `start` up to `stop`, masked as they are among all."""
        some = slice(*self.tokens.indptr[[start, min(stop, self.tokens.shape[0])]])
        return Masked(self.tokens[start:stop], self.chosen[some], self.hidden[some])

    def shown(self) -> np.ndarray:
        """Cells x (genes + 1), int64: what the network sees, 6 where a token is hidden."""
        row, column = self.places(self.hidden)
        filled = dense(self.tokens)
        filled[row, column] = MASK
        return filled

    def places(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of some of the stored tokens."""
        row = np.repeat(np.arange(self.tokens.shape[0]), np.diff(self.tokens.indptr))
        return row[which], self.tokens.indices[which].astype(np.int64)

    def asked(self, which: np.ndarray) -> np.ndarray:
        """The bins of some of the stored tokens, int64."""
        return self.tokens.data[which].astype(np.int64)

    def answered(self, given: np.ndarray, weights: Path | None = None) -> Pretrained:
        """Answers of a model for the hidden tokens, with the commonest bin of each one's cell."""
        row = self.places(self.hidden)[0]
        own = commonest_bins(self.tokens)[row]
        return Pretrained(weights, self.asked(self.hidden), given, cell=row, commonest=own)


def commonest_bins(tokens: sparse.csr_matrix) -> np.ndarray:
    """Commonest bin of each cell, zeros aside, int64; the smallest among equals, 0 without tokens.

    Bins of hidden tokens count too, as in the authors' nog2v_explore.ipynb.

    >>> commonest_bins(sparse.csr_matrix([[2, 2, 1], [3, 1, 0], [0, 0, 0]])).tolist()
    [2, 1, 0]
    """
    n_bins = int(tokens.data.max(initial=0)) + 1
    row = np.repeat(np.arange(tokens.shape[0]), np.diff(tokens.indptr))
    places = row * n_bins + tokens.data.astype(np.int64)
    counts = np.bincount(places, minlength=tokens.shape[0] * n_bins)
    return counts.reshape(tokens.shape[0], n_bins).argmax(axis=1)


def masked(tokens: sparse.csr_matrix, rng: np.random.Generator) -> Masked:
    """Ask for 15 % of each cell's tokens, rounded up, zeros never; hide nine in ten of them.

    As scBERT's `data_mask` does: the rest is asked for but shown, and none is replaced by another.
    """
    lengths = np.diff(tokens.indptr)
    row = np.repeat(np.arange(tokens.shape[0]), lengths)
    order = np.lexsort((rng.random(tokens.nnz), row))
    rank = np.empty(tokens.nnz, dtype=np.int64)
    rank[order] = np.arange(tokens.nnz) - np.repeat(tokens.indptr[:-1], lengths)
    chosen = rank < np.ceil(lengths * SHARE)[row]
    return Masked(tokens, chosen, chosen & (rng.random(tokens.nnz) < REPLACED))
