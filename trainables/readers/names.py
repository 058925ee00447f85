"""Names of cells and genes, looked at for what goes wrong in files of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from trainables.intake.gene_words import GENOMES
from trainables.intake.genes import ENSEMBL
from trainables.intake.texts import landmarks, matches, matching

MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec"
DATE = (
    rf"(?i)^(\d{{1,2}}[-/. ]?({MONTHS})|({MONTHS})[-/. ]\d{{1,2}}|\d{{4}}[-/]\d{{2}}[-/]\d{{2}}.*"
    rf"|\d{{1,2}}[-/]({MONTHS})[-/]\d{{2,4}})$"
)
"""Dates that Excel makes of MARCH1, SEPT2, DEC1 and OCT4 (Ziemann, Eren & El-Osta 2016)."""
BARCODE = r"^.*[ACGT]{10,}.*$"


def checked(cells: Any, file: str, kind: str) -> Any:
    """Return the cells, with a note where Excel spoilt names of genes.

    Raises ValueError for genes x cells, for genes of several genomes, and for dates that occur
    twice, since no one can tell which genes they were.
    """
    if kind not in ("table", "arrow") and is_turned(cells.obs_names, cells.var_names):
        raise ValueError(
            f"{file} is genes x cells (its first names of cells are"
            f" {', '.join(map(str, cells.obs_names[:2]))}); write"
            ' adata.T.write_h5ad("turned.h5ad") and give that file'
        )
    names = cells.var_names.astype(str).to_numpy(dtype=object)
    refuse_genomes(names, file)
    if cells.raw is not None:
        refuse_genomes(cells.raw.var_names.astype(str).to_numpy(dtype=object), file)
    dates = names[matching(names, DATE)]
    if len(dates) > len(set(dates)):
        twice = pd.Index(dates)[pd.Index(dates).duplicated()][0]
        raise ValueError(
            f"{file}: Excel turned names of genes into dates, and {twice} occurs more than once;"
            " take the names from the file before it was opened in Excel"
        )
    if len(dates):
        note = (
            f"{len(dates)} genes have dates as names (such as {dates[0]}), as Excel makes of SEPT2"
            " or MARCH1; models do not find these genes"
        )
        cells.uns["notes"] = [*cells.uns.get("notes", []), note]
    return cells


def is_turned(rows: Any, columns: Any) -> bool:
    """Whether names of rows are genes, or names of columns are barcodes, and not the reverse.

    >>> is_turned(["CD3D", "LYZ", "MS4A1", "NKG7"], ["cell1", "cell2"])
    True
    """
    row_names, column_names = (np.asarray(list(map(str, n)), dtype=object) for n in (rows, columns))
    if are_genes(row_names) or are_genes(column_names):
        return are_genes(row_names) and not are_genes(column_names)
    return matches(column_names, BARCODE) > 0.5 and not matches(row_names, BARCODE) > 0.5


def are_genes(names: np.ndarray) -> bool:
    """Whether names are those of genes: Ensembl ids, or well-known symbols among them."""
    series: Any = pd.Series(names, dtype=object).str
    bare = series.replace(rf"^({GENOMES})[_\-]+", "", regex=True).to_numpy(dtype=object)
    return matches(bare, ENSEMBL) > 0.5 or landmarks(bare) >= 3


def refuse_genomes(names: np.ndarray, file: str) -> None:
    """Raise ValueError where Cell Ranger's prefixes name genes of several genomes."""
    series: Any = pd.Series(names, dtype=object)
    prefixes = series.str.extract(rf"^({GENOMES})[_\-]+.")[0].dropna().unique()
    if len(prefixes) > 1:
        both = ", ".join(sorted(prefixes))
        raise ValueError(
            f"{file} holds genes of {len(prefixes)} genomes ({both}); keep the cells and genes of"
            f" one: adata[:, adata.var_names.str.startswith({min(prefixes)!r})]"
        )
