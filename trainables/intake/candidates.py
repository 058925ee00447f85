"""Matrices of a file that might hold its counts, each with its genes and the kind of its values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainables.intake.finding import Finding
from trainables.intake.genes import Genes, name_genes
from trainables.intake.labels import plain
from trainables.intake.statistics import MatrixStatistics, measure
from trainables.intake.texts import texts
from trainables.intake.values import judge

COUNT_LAYER = re.compile(
    r"(x|n|rna|genes?|integer|original|matrix|data|raw|counts?|umis?|unnormali[sz]ed)+"
)
COUNT_WORD = re.compile(r"raw|count|umi|unnormali[sz]ed")
"""Words of names of layers that hold raw counts, as `plain` spells them; one word must match."""


def names_counts(layer: str) -> bool:
    """Whether a layer's name says that it holds raw counts.

    >>> [names_counts(name) for name in ("raw_counts", "UMI", "decontXcounts", "matrix")]
    [True, True, False, False]
    """
    name = plain(layer)
    return bool(COUNT_LAYER.fullmatch(name) and COUNT_WORD.search(name))


@dataclass
class Candidate:
    """One matrix of a file that might be taken."""

    source: str
    """"X", ".raw" or "layers['NAME']"."""
    option: str
    """Its name for --counts-layer."""
    matrix: Any
    var: pd.DataFrame
    named_counts: bool
    kept: np.ndarray = field(repr=False)
    groups: np.ndarray = field(repr=False)
    batches: list[str] = field(repr=False)
    scratch: Path = field(repr=False)
    stated_base: float | None = None

    @cached_property
    def genes(self) -> Genes:
        """Names of its genes, and which columns are genes at all."""
        return name_genes(self.var)

    @cached_property
    def seen(self) -> MatrixStatistics:
        """Statistics of its kept cells; the first call reads the whole matrix, block by block."""
        return measure(self.matrix, self.kept, self.genes.kept, self.groups, self.scratch)

    @cached_property
    def finding(self) -> Finding:
        """Kind of its values."""
        if problem := not_numbers(self.matrix):
            return Finding("unusable", problem)
        if not self.genes.kept.any():
            why = self.genes.notes[0] if self.genes.notes else "it has no features"
            return Finding("unusable", f"has no genes: {why}; give a file with gene expression")
        stated = self.stated_base if self.source == "X" else None
        return judge(self.seen, self.groups, self.batches, stated)


def not_numbers(matrix: Any) -> str:
    """Reason why a matrix does not hold real numbers, or an empty text."""
    dtype = matrix.dtype
    if np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating):
        return ""
    held = "text" if dtype.kind in "OSUT" else f"{dtype} values"
    return f"holds {held}; it must hold real numbers"


def candidates(
    source: Any, kept: np.ndarray, groups: np.ndarray, batches: list[str], scratch: Path
) -> list[Candidate]:
    """Matrices of a file: layers with the usual names of counts, .raw, X, then other layers."""
    about: dict[str, Any] = {"kept": kept, "groups": groups, "batches": batches}
    about |= {"scratch": scratch, "stated_base": stated_base(source)}
    layers = [
        Candidate(
            f"layers[{name!r}]", str(name), matrix, source.var, names_counts(str(name)), **about
        )
        for name, matrix in source.layers.items()
        if name is not None
    ]
    found = [layer for layer in layers if layer.named_counts]
    if source.raw is not None and source.raw.X is not None:
        var = with_columns(source.raw.var, source.var)
        found.append(Candidate(".raw", "raw", source.raw.X, var, False, **about))
    if source.X is not None:
        found.append(Candidate("X", "X", source.X, source.var, False, **about))
    return found + [layer for layer in layers if not layer.named_counts]


def with_columns(raw: pd.DataFrame, var: pd.DataFrame) -> pd.DataFrame:
    """`raw.var` with the columns that only `var` has, for the genes that both have.

    Where `raw` names genes by ids that are a column of `var`, its column "var_names" has the names
    of `var`.
    """
    if not (raw.index.is_unique and var.index.is_unique):
        return raw
    if not raw.index.isin(var.index).any():
        for column in var.columns:
            ids = pd.Index(texts(var[column]))
            if ids.is_unique and raw.index.isin(ids).mean() > 0.1:
                names = pd.Series(var.index.to_numpy(), index=ids)
                return raw.assign(var_names=names.reindex(raw.index).to_numpy())
        return raw
    missing = [column for column in var.columns if column not in raw.columns]
    return raw.join(var[missing]) if missing else raw


def stated_base(source: Any) -> float | None:
    """Base of the logarithm that scanpy wrote into `uns["log1p"]`, or None."""
    stated = source.uns.get("log1p")
    if not isinstance(stated, dict) and not hasattr(stated, "get"):
        return None
    base = stated.get("base")
    if base is None:
        return float(np.e)
    try:
        return float(np.asarray(base).ravel()[0])
    except (TypeError, ValueError):
        return None


def is_primary(candidate: Candidate) -> bool:
    """Whether counts are looked for in a matrix of this name."""
    return candidate.named_counts or candidate.source in ("X", ".raw")


def holds_counts(finding: Finding) -> bool:
    """Whether values are counts as they are."""
    return finding.kind == "counts" and finding.log_base is None
