"""A fixed list of genes, and cells as tokens on it: one bin a gene, as scBERT reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from trainables.cells import blocks
from trainables.genes.binning import log2_bins
from trainables.genes.summed import summed
from trainables.genes.vocabulary import Aligned, align
from trainables.intake.finding import LIBRARY_SIZE
from trainables.protocols import Cells

LIST = "genes.txt"
"""A gene's symbol a line, in the order of the network's positions."""


@dataclass(frozen=True)
class Panel:
    """Gene symbols in the order of a network's positions."""

    genes: tuple[str, ...]
    source: str = "the panel"

    def __post_init__(self) -> None:
        if len(set(self.genes)) < len(self.genes):
            twice = next(g for g in self.genes if self.genes.count(g) > 1)
            raise ValueError(f"the gene list of {self.source} names {twice} more than once")

    def aligned(self, cells: Cells) -> Aligned:
        """Which columns of the cells are which genes of the list, by their exact symbols.

        Raises ValueError where none is.
        """
        places = {gene: i for i, gene in enumerate(self.genes)}
        return align(cells.var_names, places, source=self.source)

    def absent(self, cells: Cells) -> int:
        """How many genes of the list the cells lack; their tokens are 0."""
        return len(self.genes) - len(self.aligned(cells).columns)

    def tokens(self, cells: Cells, *, rescale: bool) -> sparse.csr_matrix:
        """Cells x genes of the list, int8 bins; bin 0, which is most, is not stored.

        `rescale`: where genes are left out, the rest of a cell is scaled to 1e4 anew, as the
        authors' preprocess.py does (it normalises after choosing genes); else the cell's own
        library counts.
        """
        found = self.aligned(cells)
        cells = summed(cells, found.tokens)
        places = np.full(cells.n_vars, -1)
        places[found.columns] = found.ids
        parts = []
        for block in blocks(cells):
            x = sparse.csr_matrix(block.X)
            column = places[x.indices]
            row = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
            there = column >= 0
            row, column, values = row[there], column[there], x.data[there]
            if rescale and found.missing:
                scaled = np.expm1(values.astype(np.float64))
                sums = np.bincount(row, weights=scaled, minlength=x.shape[0])
                values = np.log1p(scaled * (LIBRARY_SIZE / sums[row]))
            bins = log2_bins(values)
            shape = (x.shape[0], len(self.genes))
            some = sparse.csr_matrix((bins, (row, column)), shape=shape, dtype=np.int8)
            some.eliminate_zeros()
            some.sort_indices()
            parts.append(some)
        return sparse.csr_matrix(sparse.vstack(parts, format="csr"))

    def write(self, folder: Path) -> None:
        """Keep the list beside weights."""
        (folder / LIST).write_text("\n".join(self.genes) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Panel:
        """The list that lies beside weights: `genes.txt`, or the genes of the one `.h5ad` there.

        Raises ValueError where there is neither.
        """
        found = list_in(folder)
        if found.suffix == ".txt":
            lines = found.read_text(encoding="utf-8").splitlines()
            return cls(tuple(line.strip() for line in lines if line.strip()), str(found))
        import anndata as ad
        import h5py

        with h5py.File(found) as file:
            var: object = ad.io.read_elem(file["var"])  # pyright: ignore[reportArgumentType]
        return cls(tuple(map(str, var.index)), str(found))  # pyright: ignore


def list_in(folder: Path) -> Path:
    """The file that holds the gene list of the weights in this folder; see `Panel.read`."""
    if (folder / LIST).exists():
        return folder / LIST
    files = sorted(folder.glob("*.h5ad"))
    if len(files) != 1:
        raise ValueError(
            f"{folder} has no gene list: put {LIST} there, a symbol a line in the order of the"
            " network's positions, or the authors' panglao_10000.h5ad, whose genes these are"
        )
    return files[0]


def dense(tokens: sparse.csr_matrix) -> np.ndarray:
    """Cells x (genes + 1), int64: the authors append a token 0 to every cell."""
    filled = np.zeros((tokens.shape[0], tokens.shape[1] + 1), dtype=np.int64)
    filled[:, :-1] = tokens.toarray()
    return filled


def content(tokens: sparse.csr_matrix) -> str:
    """sha256 of tokens, in their order."""
    seen = hashlib.sha256(repr(tokens.shape).encode())
    for part in (tokens.indptr.astype(np.int64), tokens.indices.astype(np.int32), tokens.data):
        seen.update(np.ascontiguousarray(part).tobytes())
    return seen.hexdigest()
