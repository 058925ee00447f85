"""Genes by their symbols, with Ensembl ids beside them, whichever of the two a file leads with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

ENSEMBL = r"^(ENS[A-Z]*G\d{11})(\.\d+)?(_PAR_Y)?$"
VERSIONED = ENSEMBL.replace(")?(_PAR", ")(_PAR")
"""Symbols have dots, too: RP11-206L10.2 is another gene than RP11-206L10.3."""
SYMBOL_COLUMNS = (
    "gene_name",
    "feature_name",
    "gene_symbol",
    "gene_symbols",
    "symbol",
    "gene_short_name",
    "Gene",
)
ID_COLUMNS = ("ensembl_id", "gene_ids", "gene_id", "feature_id", "ensembl", "Accession")


class Genes(NamedTuple):
    """What the genes of a matrix are called, in its order."""

    names: np.ndarray
    """Symbols, or ids where there is no symbol to be had."""
    ids: np.ndarray | None
    """Ensembl ids without version, "" where one is missing, or None where none is known."""
    notes: list[str]


def named(var: pd.DataFrame) -> Genes:
    """Symbols and Ensembl ids of the rows of `var`, from its index and its columns.

    A symbol that several ids share names none of them: those genes go by their ids. Names that
    are no ids and have none stay as they are, repeated or not.

    >>> ids = ["ENSG00000000003.15", "ENSG00000000005"]
    >>> named(pd.DataFrame({"gene_name": ["TSPAN6", "TNMD"]}, index=ids)).names.tolist()
    ['TSPAN6', 'TNMD']
    """
    names = var.index.astype(str).to_numpy(dtype=object)
    if not are_ids(names):
        ids = column(var, ID_COLUMNS, ids=True)
        return Genes(names, None, []) if ids is None else apart(names, ids, unversioned(ids))
    symbols = column(var, SYMBOL_COLUMNS, ids=False)
    if symbols is None:
        note = "genes go by their Ensembl ids, since var has no column of symbols such as gene_name"
        return Genes(names, unversioned(names), [note])
    return apart(np.where(symbols == "", names, symbols), names, unversioned(names))


def are_ids(names: np.ndarray) -> bool:
    """Whether most of these are Ensembl gene ids."""
    texts: Any = pd.Series(names, dtype=object).str
    return len(names) > 0 and bool(texts.match(ENSEMBL).mean() > 0.5)


def column(var: pd.DataFrame, known: tuple[str, ...], *, ids: bool) -> np.ndarray | None:
    """The first column of a known name whose content is as expected, as text; missing is ""."""
    for key in known:
        if key in var:
            missing = var[key].isna().to_numpy()
            found = np.where(missing, "", var[key].astype(str).to_numpy(dtype=object))
            if are_ids(found) == ids:
                return found
    return None


def unversioned(ids: np.ndarray) -> np.ndarray:
    """Ids without the version that changes from release to release; all else as it is.

    >>> unversioned(np.array(["ENSG00000000003.15", "RP11-206L10.2"], dtype=object)).tolist()
    ['ENSG00000000003', 'RP11-206L10.2']
    """
    texts: Any = pd.Series(ids, dtype=object).str
    return texts.replace(VERSIONED, r"\1", regex=True).to_numpy(dtype=object)


def apart(names: np.ndarray, full: np.ndarray, ids: np.ndarray) -> Genes:
    """Names, with those that several genes share replaced by the full ids of these genes."""
    shared = pd.Series(names).duplicated(keep=False).to_numpy() & (full != "")
    notes = []
    if shared.any():
        count, example = len(set(names[shared])), names[shared][0]
        notes = [
            f"{count} gene symbols (such as {example}) stand for several Ensembl ids each;"
            f" these {shared.sum()} genes go by their ids"
        ]
    return Genes(np.where(shared, full, names), ids, notes)
