"""Names of genes, found in a file's `var` by content, and which columns are genes at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from trainables.intake.features import only_genes
from trainables.intake.gene_words import COLUMN_NAMES, GENOMES, LANDMARKS
from trainables.intake.texts import is_text, landmarks, matches, matching, texts, unquoted

ENSEMBL = r"^(ENS[A-Z]*G\d{11})(\.\d+)?(_PAR_Y)?$"
VERSIONED = ENSEMBL.replace(")?(_PAR", ")(_PAR")
"""Symbols have dots, too: RP11-206L10.2 is another gene than RP11-206L10.3."""
ID = r"ENS[A-Z]*G\d{11}(?:\.\d+)?(?:_PAR_Y)?"
ID_FIRST = rf"^({ID})[|_;:,/ \-]+(.+)$"
ID_LAST = rf"^(.+?)[|_;:,/ \-]+\(?({ID})\)?$"
OTHER_ID = r"^(FBgn\d{7}|WBGene\d{8}|[NX][MR]_\d+(\.\d+)?|ENS[A-Z]*T\d{11}(\.\d+)?)$"
NUMBER = r"^\d+(\.0)?$"
SYMBOL = r"^[A-Za-z0-9][A-Za-z0-9.\-_@/:()*']{0,39}$"


@dataclass(frozen=True)
class Genes:
    """Genes of a matrix, in its order, features that are no genes left out."""

    names: np.ndarray
    """Symbols, or ids where there is no symbol to be had."""
    ids: np.ndarray | None
    """Ensembl ids without version, "" where one is missing; None where none is known."""
    kept: np.ndarray
    """Mask of the columns that are genes."""
    origin: str
    """Origin of the names, such as "symbols from var['feature_name']"."""
    species: str
    """"human", "mouse", "other", or "" where names do not tell."""
    notes: tuple[str, ...] = ()


def name_genes(var: pd.DataFrame) -> Genes:
    """Symbols and Ensembl ids of the rows of `var`, from its index and its columns.

    A symbol that several ids share names none of them: those genes go by their ids. Names that
    are no ids and have none stay as they are, repeated or not. Antibodies, hashtags, guides,
    peaks, spike-ins and columns of a table that describe cells are left out, with a note.

    >>> ids = ["ENSG00000000003.15", "ENSG00000000005"]
    >>> name_genes(pd.DataFrame({"gene_name": ["TSPAN6", "TNMD"]}, index=ids)).names.tolist()
    ['TSPAN6', 'TNMD']
    """
    kept, notes = only_genes(var)
    var = var[kept]
    index = without_genome(unquoted(texts(pd.Series(var.index))))
    symbols, ids, full, origin = symbols_and_ids(var, index)
    if full is not None:
        symbols, more = apart(symbols, full)
        notes += more
    species = species_of(symbols, ids)
    notes += naming_notes(symbols, origin, species)
    return Genes(symbols, ids, kept, origin, species, tuple(notes))


def symbols_and_ids(
    var: pd.DataFrame, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, str]:
    """Names, ids without version, ids in full, and the origin of the names in words."""
    if (pair := compound(index)) is not None:
        names, full = pair
        return names, unversioned(full), full, "symbols from compound names"
    ids = ids_of(var)
    if matches(index, ENSEMBL) > 0.5:
        found = symbol_column(var)
        if found is None:
            return index, unversioned(index), None, "Ensembl ids as names"
        column, symbols = found
        names = np.where(symbols == "", index, symbols)
        return names, unversioned(index), index, f"symbols from var[{column!r}]"
    if not are_names(index):
        found = symbol_column(var)
        full = ids[1] if ids else None
        spare = full if full is not None else index
        if found is not None:
            column, symbols = found
            names = np.where(symbols == "", spare, symbols)
            return names, unversioned(full) if ids else None, full, f"symbols from var[{column!r}]"
        if ids is not None:
            return ids[1], unversioned(ids[1]), None, f"ids from var[{ids[0]!r}]"
        return index, None, None, "names that are only numbers or ids"
    if landmarks(index) < 3 and len(index) >= 200:  # names, but of what?
        found = symbol_column(var, least=10)
        if found is not None and (found[1] != "").all():
            full = ids[1] if ids else None
            return (
                found[1],
                unversioned(full) if ids else None,
                full,
                f"symbols from var[{found[0]!r}]",
            )
        if (part := well_known_part(index)) is not None:
            return part, unversioned(ids[1]) if ids else None, None, "symbols from compound names"
    full = ids[1] if ids else None
    return index, unversioned(full) if ids else None, full, "gene names from var_names"


# ---- symbols and ids ---------------------------------------------------------------------------


def are_names(names: np.ndarray) -> bool:
    """Whether these are names rather than numbers or ids."""
    return max(matches(names, p) for p in (ENSEMBL, OTHER_ID, NUMBER)) <= 0.5


def compound(index: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Symbols and ids of names such as "ENSG00000000003|TSPAN6" or "TSPAN6_ENSG00000000003"."""
    series: Any = pd.Series(index, dtype=object)
    for pattern, where in ((ID_FIRST, (1, 0)), (ID_LAST, (0, 1))):
        if matches(index, pattern) > 0.5:
            split = series.str.extract(pattern)
            symbol = split[where[0]].fillna("").to_numpy(dtype=object)
            full = split[where[1]].fillna("").to_numpy(dtype=object)
            alone = symbol == ""
            full = np.where(alone & matching(index, ENSEMBL), index, full)
            return np.where(alone, index, symbol), full
    return None


def well_known_part(index: np.ndarray) -> np.ndarray | None:
    """Symbols of names such as "A1BG|1" or "A1BG__chr19", of which most are well-known genes'.

    A name whose symbol others have, too, stays whole.
    """
    series: Any = pd.Series(index, dtype=object)
    for separator in ("__", "|", ";", ":", "_", " "):
        if series.str.contains(separator, regex=False).mean() < 0.9:
            continue
        for part in (0, -1):
            found = series.str.split(separator, regex=False).str[part]
            if landmarks(found.to_numpy()) >= 10:
                return np.where(found.duplicated(keep=False), index, found.to_numpy())
    return None


def without_genome(index: np.ndarray) -> np.ndarray:
    """Names without the genome that Cell Ranger puts before them, where all have the same one."""
    series: Any = pd.Series(index, dtype=object)
    split = series.str.extract(rf"^({GENOMES})[_\-]+(.+)$")
    if len(index) and split[0].notna().mean() > 0.9 and split[0].nunique() == 1:
        return split[1].where(split[1].notna(), series).to_numpy(dtype=object)
    return index


def ids_of(var: pd.DataFrame) -> tuple[str, np.ndarray] | None:
    """First column whose content is Ensembl ids, with its name."""
    for column in var.columns:
        if is_text(var[column]) and matches(found := texts(var[column]), ENSEMBL) > 0.5:
            return str(column), found
    return None


def symbol_column(var: pd.DataFrame, least: int = 0) -> tuple[str, np.ndarray] | None:
    """Column of symbols with its name: by content first, by its usual name among equals.

    `least` is the smallest number of well-known genes that it must hold.
    """
    best: tuple[tuple[int, int, float], str, np.ndarray] | None = None
    for column in var.columns:
        if not is_text(var[column]):
            continue
        found = texts(var[column])
        filled = found[found != ""]
        usual = "".join(c for c in str(column).lower() if c.isalpha()) in COLUMN_NAMES
        distinct = len(set(filled)) / max(1, len(found))
        if distinct < 0.5 or not are_names(filled) or matches(found, SYMBOL) < 0.9:
            continue
        score = landmarks(filled), int(usual), distinct
        if score[0] < least or (score[0] == 0 and not usual and len(filled) >= 200):
            continue
        if best is None or score > best[0]:
            best = score, str(column), found
    return None if best is None else (best[1], best[2])


def unversioned(ids: Any) -> np.ndarray:
    """Ids without the version that changes from release to release; all else as it is.

    >>> unversioned(np.array(["ENSG00000000003.15", "RP11-206L10.2"], dtype=object)).tolist()
    ['ENSG00000000003', 'RP11-206L10.2']
    """
    found: Any = pd.Series(ids, dtype=object).str
    return found.replace(VERSIONED, r"\1", regex=True).to_numpy(dtype=object)


def apart(names: np.ndarray, full: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Names, with those that several genes share replaced by the full ids of these genes."""
    shared = pd.Series(names).duplicated(keep=False).to_numpy() & (full != "")
    if not shared.any():
        return names, []
    count, example = len(set(names[shared])), names[shared][0]
    note = (
        f"{count} gene symbols (such as {example}) stand for several Ensembl ids each;"
        f" these {shared.sum()} genes go by their ids"
    )
    return np.where(shared, full, names), [note]


# ---- species -----------------------------------------------------------------------------------


def species_of(names: np.ndarray, ids: np.ndarray | None) -> str:
    """Species of the genes, from their ids, else from the case of their symbols."""
    for known in (ids, names):
        if known is None or matches(known, ENSEMBL) < 0.5:
            continue
        if matches(known, r"^ENSG\d") > 0.5:
            return "human"
        return "mouse" if matches(known, r"^ENSMUSG\d") > 0.5 else "other"
    if matches(names, r"^(FBgn|WBGene)") > 0.5:
        return "other"
    if len(LANDMARKS & set(map(str, names))) >= 3:
        return "human"
    as_in_mice = {name.capitalize() for name in LANDMARKS}
    if len(as_in_mice & set(map(str, names))) >= 3 or matches(names, r"^[A-Z][a-z]+\d*") > 0.7:
        return "mouse"
    as_in_fish = {name.lower() for name in LANDMARKS}
    return "other" if len(as_in_fish & set(map(str, names))) >= 3 else ""


def naming_notes(names: np.ndarray, origin: str, species: str) -> Iterator[str]:
    """Notes on names that pretrained models will not find."""
    if origin.startswith("symbols"):
        pass
    elif matches(names, ENSEMBL) > 0.5:
        yield "genes go by their Ensembl ids, since var has no column of symbols"
    elif matches(names, NUMBER) > 0.5:
        yield "genes go by numbers (Entrez ids or positions); put symbols into var['gene_name']"
    elif matches(names, OTHER_ID) > 0.5:
        yield "genes go by ids that are no symbols; put symbols into var['gene_name']"
    if species == "mouse":
        yield "genes are those of a mouse (or rat); models of human genes refuse them"
    elif species == "other":
        yield "genes are not human; models of human genes refuse them"
    elif species == "" and len(names) >= 200 and are_names(names):
        yield (
            f"no well-known gene is among the names of genes (such as {names[0]}); models of human"
            " genes find few of them: put symbols into var['gene_name']"
        )
