"""Cells as Geneformer's tokens: ranked genes, in V2 between `<cls>` and `<eos>`, padded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.genes.dictionaries import NAMES, Dictionaries
from trainables.genes.ranks import framed, rank_values, to_rank
from trainables.genes.summed import summed
from trainables.protocols import Cells


@dataclass(frozen=True)
class Ranked:
    """Cells as tokens: ids padded with 0, and lengths. A cell of none is one padding token long."""

    ids: np.ndarray
    lengths: np.ndarray
    specials: tuple[int, int] = (0, 0)
    """How many tokens at the beginning and at the end of a cell are no genes."""

    def padded(self, rows: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Ids of some cells, and which are no padding; None where nothing is padded."""
        lengths = self.lengths[rows]
        longest = int(lengths.max())
        ids = torch.from_numpy(self.ids[rows, :longest].astype(np.int64))
        if (lengths == longest).all():
            return ids, None
        return ids, torch.from_numpy((np.arange(longest) < lengths[:, None]).astype(np.int64))

    def genes(self, row: int) -> slice:
        """Where a cell's genes are."""
        return slice(self.specials[0], max(int(self.lengths[row]) - self.specials[1], 0))


def tokens(
    cells: Cells,
    known: Dictionaries,
    values: str,
    longest: int,
    *,
    source: str,
    threads: int,
    columns: np.ndarray | None = None,
) -> Ranked:
    """Cells as the network reads them; says how many genes have a token, and what was dropped.

    Columns of one token are added, as the authors' `sum_ensembl_ids` does.

    `values` as in `genes.ranks.to_rank`; a cell has `longest` tokens at most. Only genes of
    `columns`, where given, are tokens; the others still count in a cell's total. Raises ValueError,
    naming `source`, where no gene has one.
    """
    found = known.found(cells.var, source=source)
    print(f"geneformer: {found.report}")
    if not known.mapping and (found.tokens < 0).any():
        print(f"geneformer: without the file {NAMES['mapping']} retired ids are not mapped")
    cells = summed(cells, found.tokens)
    specials = 2 if known.version == "v2" else 0
    x, n_counts = to_rank(cells, values)
    most = longest - specials
    ids_of_genes = found.tokens
    if columns is not None:
        ids_of_genes = np.where(np.isin(np.arange(cells.n_vars), columns), found.tokens, -1)
    ids, lengths = rank_values(
        x, ids_of_genes, found.medians, n_counts=n_counts, most=most, threads=threads
    )
    if specials:
        ids, lengths = framed(ids, lengths, known.tokens["<cls>"], known.tokens["<eos>"])
        return Ranked(ids, lengths, (1, 1))
    if not ids.shape[1]:
        ids = np.zeros((len(ids), 1), dtype=np.int32)
    return Ranked(ids, lengths.clip(1))
