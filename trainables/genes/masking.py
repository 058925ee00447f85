"""Bins hidden from a network that is to guess them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainables.genes.panel import dense

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
