"""How many of the cells' genes a model knows, and when these are too few for an answer."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.sparse import csr_matrix

from trainables.matrices import mapped_blocks
from trainables.protocols import Cells
from trainables.store import Store

LEAST = 0.5
"""Least share of the cells' genes, `fract_matching` of Kedzierska et al. (zero-shot-scfoundation,
sc_foundation_evals/data.py). Their code counts all columns for scGPT, and for Geneformer those
that cells express (in ten cells or more). One of the two counts must reach it: a matrix with all
genes of a genome has many columns that are empty in every cell."""
BY_SYMBOL = "symbol"
BY_ID = "Ensembl id (in var['ensembl_id'] or as names) or by symbol"
"""Names by which models find genes, for their refusals."""


@runtime_checkable
class KnowsGenes(Protocol):
    """A model with a vocabulary of genes."""

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells whose gene the model knows; all where it takes its genes from them.

        Raises ValueError where no gene is known.
        """
        ...


@dataclass(frozen=True)
class Overlap:
    """Genes of some cells that a model knows, counted over all cells."""

    genes: int
    """Number of columns."""
    known: int
    """Number of columns whose gene the model knows."""
    expressed: int
    """Number of columns that any cell expresses."""
    expressed_known: int
    """Number of these whose gene the model knows."""
    cells: int
    empty_cells: int
    """Number of cells that express no gene that the model knows."""
    examples: tuple[str, ...] = ()
    """Genes that the model does not know, three at most, expressed ones first."""

    @classmethod
    def of(cls, cells: Cells, columns: np.ndarray) -> Overlap:
        """Count once over the values; matrices on disk are read in blocks.

        Counts over a mapped file, which nobody can write to, are remembered: a warm worker meets
        the same cells in trial after trial.
        """
        held = cells.layers.get("counts", cells.X)
        values = held if isinstance(held, csr_matrix) else csr_matrix(held)
        key = id(values.data), cells.n_obs, np.asarray(columns).tobytes()
        if key in REMEMBERED and REMEMBERED[key][0]() is values.data:
            return REMEMBERED[key][1]
        found = cls.counted(cells, values, columns)
        if not values.data.flags.writeable:
            REMEMBERED[key] = weakref.ref(values.data), found
        return found

    @classmethod
    def counted(cls, cells: Cells, values: csr_matrix, columns: np.ndarray) -> Overlap:
        """The counts of `of`, from the values."""
        names = np.asarray(cells.var_names, dtype=str)
        known, expressed = np.zeros((2, len(names)), dtype=bool)
        known[columns] = True
        empty = 0
        for block in mapped_blocks(values):
            stored = block.data > 0
            expressed[block.indices[stored]] = True
            hits = np.concatenate([[0], np.cumsum(stored & known[block.indices])])
            empty += int((hits[block.indptr[1:]] == hits[block.indptr[:-1]]).sum())
        unknown = [*names[expressed & ~known], *names[~expressed & ~known]]
        return cls(
            genes=len(names),
            known=int(known.sum()),
            expressed=int(expressed.sum()),
            expressed_known=int((expressed & known).sum()),
            cells=int(cells.n_obs),
            empty_cells=empty,
            examples=tuple(map(str, unknown[:3])),
        )

    def facts(self) -> dict[str, int]:
        """Numbers for the record of a trial."""
        return {
            "genes": self.genes,
            "genes_known": self.known,
            "genes_expressed": self.expressed,
            "genes_expressed_and_known": self.expressed_known,
            "cells_without_known_genes": self.empty_cells,
        }

    def sentence(self, model: str) -> str:
        """The overlap in words.

        >>> Overlap(4, 3, 4, 3, cells=9, empty_cells=1, examples=("FOO",)).sentence("scgpt")
        'scgpt knows 3 of the 4 genes (not FOO); 1 of 9 cells hold none of them'
        """
        said = f"{model} knows {self.known:,} of the {self.genes:,} genes{self.named()}"
        if self.empty_cells:
            said += f"; {self.empty_cells:,} of {self.cells:,} cells hold none of them"
        return said

    def named(self) -> str:
        """Examples of unknown genes in brackets."""
        more = ", ..." if self.genes - self.known > len(self.examples) else ""
        return f" (not {', '.join(self.examples)}{more})" if self.examples else ""

    def refuse(self, model: str, least: float, names: str) -> None:
        """Raise ValueError, in one sentence, for too few known genes or cells that are all empty.

        `names`: what the model calls genes by, such as "symbol".
        """
        if self.empty_cells == self.cells:
            raise ValueError(
                f"{model}: none of the {self.cells:,} cells expresses a gene that it knows"
                f"{self.named()}; name genes by {names}, or leave the model out"
            )
        if self.known < least * self.genes and self.expressed_known < least * self.expressed:
            raise ValueError(
                f"{model} knows {self.known:,} of the {self.genes:,} genes{self.named()}, and"
                f" least_overlap={least:g} asks for {int(np.ceil(least * self.genes)):,}; name"
                f" genes by {names}, or lower least_overlap"
            )


REMEMBERED: dict[tuple[int, int, bytes], tuple[weakref.ref[np.ndarray], Overlap]] = {}
"""Counts by the array of values, which must still be the same object, and by columns."""


def check_share(model: str, least: float) -> None:
    """Raise ValueError for a share that is none."""
    if not 0 <= least <= 1:
        raise ValueError(f"{model}'s least_overlap {least:g} must lie between 0 and 1")
