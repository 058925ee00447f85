"""The decision on a file of cells, made once for `data check`, `data prepare`, `plan` and `run`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy import sparse

from trainables.duplicates import first_copies
from trainables.intake.candidates import candidates
from trainables.intake.counts import Choice, choose
from trainables.intake.decision import Decision, IntakeOptions, Values
from trainables.intake.finding import LIBRARY_SIZE
from trainables.intake.gene_checks import check_genes
from trainables.intake.genes import Genes
from trainables.intake.labels import plain
from trainables.intake.statistics import gene_blocks


@dataclass(frozen=True)
class Intake:
    """Everything that preparation needs to know of a file; it holds no matrix."""

    decision: Decision
    option: str
    """Name of the matrix for --counts-layer."""
    genes: Genes
    kept: np.ndarray
    """Mask of the cells that take part."""
    exact: bool
    library: np.ndarray
    """Total that each kept cell is divided by; unused for logarithms."""
    first_copy: np.ndarray
    """Number of the first kept cell with the very same values; -1 for empty cells."""

    def matrix(self, source: Any) -> Any:
        """The matrix to read, of the same file, opened again or not."""
        where = self.decision.values.source
        if where == "X":
            return source.X
        return source.raw.X if where == ".raw" else source.layers[self.option]

    def counts(self, source: Any, scratch: Path) -> Iterator[sparse.csr_matrix]:
        """Kept cells and genes of the file, some cells at a time; counts are whole numbers."""
        base = self.decision.values.log_base
        counted = self.decision.values.kind == "counts"
        for block in gene_blocks(self.matrix(source), self.kept, self.genes.kept, scratch):
            if counted and (base is not None or not self.exact):
                values = block.data.astype(np.float64)
                values = np.expm1(values * np.log(base)) if base is not None else values
                block.data = np.round(values)
                block.eliminate_zeros()
            yield block

    def logged(self, block: sparse.csr_matrix, start: int) -> sparse.csr_matrix:
        """ln(1 + counts per 10,000) of a block of the file that begins with cell `start`."""
        values = self.decision.values
        if values.kind == "linear":
            library = self.library[start : start + block.shape[0]]
            scale = np.divide(LIBRARY_SIZE, library, out=np.zeros(len(library)), where=library > 0)
            of_value = np.repeat(scale, np.diff(block.indptr))
            block.data = np.log1p(block.data.astype(np.float64) * of_value)
            return block
        target = LIBRARY_SIZE if values.target_sum is None else values.target_sum
        base = np.e if values.log_base is None else values.log_base
        if not (np.isclose(base, np.e) and target == LIBRARY_SIZE):
            scaled = np.expm1(block.data.astype(np.float64) * np.log(base))
            block.data = np.log1p(scaled * (LIBRARY_SIZE / target))
        return block


def take(
    source: Any, name: str, options: IntakeOptions | None = None, scratch: Path | None = None
) -> Intake:
    """Decide on cells under the names that the rest of Gauntlet knows.

    `source` is an AnnData with `obs["cell_type"]` (missing where a cell is to be left out) and
    perhaps `obs["batch"]`, whose matrices may stay in their file: they are read in blocks.
    `scratch` is a folder for what is too large for memory. Raises ValueError or LookupError, in one
    sentence that names the data set and a way out, for cells that cannot be taken.
    """
    if 0 in source.shape:
        raise ValueError(
            f"{name}: the matrix is empty ({source.n_obs} cells x {source.n_vars} genes)"
        )
    options = options or IntakeOptions()
    kept = labelled(source.obs)
    groups, batches = batch_numbers(source.obs, kept)
    with ExitStack() as stack:
        if scratch is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        choice = choose(candidates(source, kept, groups, batches, scratch), options, name)
        return decided(source, name, options, kept, choice)


def decided(
    source: Any, name: str, options: IntakeOptions, kept: np.ndarray, choice: Choice
) -> Intake:
    """The intake that follows from the chosen matrix."""
    candidate, finding = choice.candidate, choice.finding
    genes = candidate.genes
    check_genes(genes, candidate.var, name)
    first = first_copies(candidate.seen.hashes)
    copies = int(((first >= 0) & (first != np.arange(len(first)))).sum())
    counted = finding.kind == "counts"
    values = Values(
        kind=cast(Any, finding.kind),
        source=candidate.source,
        log_base=finding.log_base,
        target_sum=None if counted else finding.target,
        n_genes=int(genes.kept.sum()),
    )
    notes = [*map(str, source.uns.get("notes", [])), *choice.notes, *genes.notes]
    if copies:
        notes.append(f"{copies:,} cells repeat another cell exactly; a split keeps them together")
    library, more = libraries(source.obs[kept], options, choice, name)
    notes += more
    decision = Decision(
        values=values,
        genes=genes.origin,
        species=genes.species,
        cells_left_out=int((~kept).sum()),
        copies=copies,
        label_key=source.uns.get("label_key", ""),
        batch_key=source.uns.get("batch_key", ""),
        notes=tuple(dict.fromkeys(notes)),
    )
    exact = finding.exact and finding.log_base is None
    return Intake(decision, candidate.option, genes, kept, exact, library, first)


def libraries(
    obs: pd.DataFrame, options: IntakeOptions, choice: Choice, name: str
) -> tuple[np.ndarray, list[str]]:
    """Total of each kept cell, and notes on it.

    Raises ValueError where a library that was named is missing, or smaller than its counts.
    """
    finding, seen = choice.finding, choice.candidate.seen
    totals = seen.totals
    if finding.kind == "counts" and finding.log_base is not None:
        totals = seen.sums[finding.log_base]
    key = options.library_size
    if key is None:
        if choice.library is not None:
            return choice.library, []
        return totals, list(larger_totals(obs, totals, choice))
    if key not in obs:
        raise LookupError(f"{name} has no obs[{key!r}] for --library-size")
    sizes = pd.to_numeric(obs[key], errors="coerce").to_numpy(dtype=float)
    small = ~(sizes >= totals * (1 - 1e-3))
    if small.any():
        raise ValueError(
            f"{name}: obs[{key!r}] of {small.sum()} cells is missing or smaller than the counts"
            " that the cell has; leave --library-size out to use the sum of these"
        )
    return sizes, []


TOTALS = frozenset(
    "totalcounts ncounts ncountrna numi numis totalumi totalumis librarysize ncount".split()
)
"""Usual names of columns of total counts, as `plain` spells them."""


def larger_totals(obs: pd.DataFrame, totals: np.ndarray, choice: Choice) -> Iterator[str]:
    """Notes on columns of totals that are larger than the counts: genes were left out of them."""
    if choice.finding.kind != "counts" or not choice.candidate.genes.kept.all():
        return
    for column in obs.columns:
        if plain(column) not in TOTALS or obs[column].dtype.kind not in "iuf":
            continue
        ratio = obs[column].to_numpy(dtype=float)[totals > 0] / totals[totals > 0]
        if (ratio > 1 - 1e-3).all() and np.median(ratio) > 1.005:
            yield (
                f"obs[{column!r}] is larger than the sum of the counts (median"
                f" {np.median(ratio):.3g} times), as where genes were left out;"
                f" --library-size {column} scales by it"
            )


def labelled(obs: pd.DataFrame) -> np.ndarray:
    """A mask of the cells that have a cell type; all where there is no such column."""
    if "cell_type" not in obs:
        return np.ones(len(obs), dtype=bool)
    return obs["cell_type"].notna().to_numpy()


def batch_numbers(obs: pd.DataFrame, kept: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Number of each kept cell's batch, and the names of the batches."""
    if "batch" not in obs:
        return np.zeros(int(kept.sum()), dtype=np.int64), ["all"]
    numbers, names = pd.factorize(obs["batch"][kept].astype(str), sort=True)
    return numbers, [str(name) for name in names]
