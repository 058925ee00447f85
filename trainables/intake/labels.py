"""Cells' types and batches: the columns of `obs` that hold them, and which values are missing."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

LABELS = (
    ("cell_type",),
    ("celltype", "celltypes", "bulklabels", "celllabels", "celllabel", "finalannotation"),
    ("celltypelabel", "celltypeannotation", "factorvalueinferredcelltypeauthorslabels"),
    ("annotation", "annotations", "label", "labels", "strlabels"),
)
BATCHES = (
    ("batch",),
    ("donor", "donorid", "patient", "patientid"),
    ("sample", "sampleid", "tech", "technology", "study", "batchid", "strbatch"),
)
"""Names of columns, likeliest first, as `plain` spells them; clusters are no cell types."""
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>", "nat", "#n/a"})
"""Spellings of a missing value, in lower case."""
NOTHING: Any = None
"""A missing value in an array of texts."""
NO_TYPES = frozenset(
    "unknown unassigned unclassified undetermined undefined unlabelled unlabeled unannotated"
    " unidentified ambiguous doublet doublets multiplet multiplets debris artifact other others"
    " lowquality notassigned unk uncharacterized missing notavailable".split()
) | {""}
"""Labels that name no cell type, as `plain` spells them; signs such as "-" and "?" are ""."""
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
"""Signs of no width, which web pages and Excel leave in texts."""


def tidy(text: str) -> str:
    """Return a text with one blank between words, none outside, and composed letters.

    >>> tidy(" B\\u00a0 cell "), tidy("nai\\u0308ve") == "na\\u00efve"
    ('B cell', True)
    """
    return " ".join(INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())


def cleaned(column: pd.Series) -> np.ndarray:
    """Values as `tidy` text; None where they are missing.

    Codes that were stored as floats are whole numbers again.

    >>> cleaned(pd.Series([1.0, float("nan")])).tolist(), cleaned(pd.Series(["B ", "NA"])).tolist()
    (['1', None], ['B', None])
    """
    values = column.astype(object)
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    numbers = column.cat.categories if categorical else column
    if pd.api.types.is_float_dtype(numbers):
        filled = values[column.notna()].astype(float)
        if (filled == filled.round()).all() and (filled.abs() < 1e15).all():
            values = values.where(column.isna(), filled.astype("int64").astype(object))
    tidied = {value: tidy(value) for value in set(values.map(str))}
    text = pd.Series([tidied[value] for value in values.map(str)], values.index, dtype=object)
    missing = column.isna().to_numpy() | text.str.lower().isin(MISSING).to_numpy()
    return np.where(missing, NOTHING, text.to_numpy(dtype=object))


def label_column(obs: pd.DataFrame, key: str | None, file: str, notes: list[str]) -> str:
    """The column of cell types: as named by the user, or the likeliest by its name.

    Raises LookupError where there is none, or more than one.
    """
    if key is not None:
        return existing(obs, key, "--label-key", file)
    found = likeliest(obs, LABELS)
    if len(found) > 1:
        raise LookupError(
            f"{file}: cell types could be in {either(found)}; say which with --label-key"
        )
    if not found:
        raise LookupError(
            f"{file} has no obs['cell_type'] or the like; name the column of cell types with"
            f" --label-key (there are: {listed(obs.columns)}), or give a table of them with"
            " --labels FILE.csv"
        )
    types = len(set(cleaned(obs[found[0]])) - {None})
    notes.append(
        f"labels from obs[{found[0]!r}] ({types} types); say --label-key to choose another"
    )
    return found[0]


def cell_types(
    obs: pd.DataFrame, key: str, min_cells: int, file: str, notes: list[str]
) -> pd.Categorical[str]:
    """Type of each cell; missing where there is no label or its class is too small.

    Raises ValueError for a column that holds no categories, or no usable label.
    """
    labels = cleaned(obs[key])
    known = np.array([label is not None for label in labels], dtype=bool)
    sizes = pd.Series(labels[known], dtype=object).value_counts()
    if pd.api.types.is_float_dtype(obs[key]) and len(sizes) > 50:
        raise ValueError(
            f"{file}: obs[{key!r}] holds {len(sizes)} different numbers; cell types must be"
            " categories, so name another column with --label-key"
        )
    if len(sizes) > 50 and len(sizes) > known.sum() / 3:
        raise ValueError(
            f"{file}: obs[{key!r}] holds {len(sizes)} different values for {known.sum()} cells, as"
            " names of cells do; cell types must be categories, so name another column with"
            " --label-key"
        )
    notes.extend(label_notes(obs[key], key, sizes))
    if not known.all():
        notes.append(f"{(~known).sum():,} cells without a label in obs[{key!r}] are left out")
    small = [str(name) for name in sizes.index[sizes < min_cells]]
    if small:
        notes.append(f"types of fewer than {min_cells} cells left out: {listed(sorted(small))}")
    kept = known & ~np.isin(labels.astype(str), small)
    if len(kept) and not kept.any():
        raise ValueError(f"{file}: no cell has a usable label in obs[{key!r}]")
    return pd.Categorical(np.where(kept, labels, NOTHING))


def label_notes(column: pd.Series, key: str, sizes: pd.Series) -> list[str]:
    """Notes on labels that were merged, or that name no type."""
    notes = []
    spelled = {str(value) for value in column.dropna().unique()}
    merged = sorted(value for value in spelled if value != tidy(value) and tidy(value) in sizes)
    if merged:
        names = ", ".join(map(ascii, merged[:3]))
        notes.append(
            f"blanks around labels, double blanks and invisible signs are no part of them: {names}"
            f" in obs[{key!r}]"
        )
    folded = pd.Series(sizes.index, dtype=object).str.lower()
    if folded.duplicated().any():
        pair = sizes.index[(folded == folded[folded.duplicated()].iloc[0]).to_numpy()]
        notes.append(f"labels that differ in case only stay apart: {listed(pair, 3)}")
    doubtful = [str(name) for name in sizes.index if plain(name) in NO_TYPES]
    if doubtful:
        notes.append(
            f"labels that name no cell type are kept as types: {listed(doubtful, 4)}"
            f" ({int(sizes[doubtful].sum()):,} cells); remove those cells, or empty their label"
        )
    if len(sizes) and all(str(name).lstrip("-").isdigit() for name in sizes.index):
        notes.append(f"labels in obs[{key!r}] are numbers: codes of types, or clusters?")
    return notes


def batch_column(obs: pd.DataFrame, key: str | None, file: str, notes: list[str]) -> str | None:
    """The column of batches, or None where there is none, or no telling which."""
    if key is not None:
        return existing(obs, key, "--batch-key", file)
    found = likeliest(obs, BATCHES)
    if len(found) > 1:
        notes.append(f"batches could be in {either(found)}, so none are used; say --batch-key")
    return found[0] if len(found) == 1 else None


def batches_of(
    obs: pd.DataFrame, kept: np.ndarray, key: str, named: bool, file: str, notes: list[str]
) -> pd.Categorical[str] | None:
    """Batch of each cell, looked at in the kept ones only (a mask).

    `named` says that the user named the column: a guessed one that cannot be used is left out with
    a note. Raises ValueError for one that was named and has gaps, or about a value a cell.
    """
    values = cleaned(obs[key])
    inside = values[kept]
    missing = sum(value is None for value in inside)
    if missing and named:
        raise ValueError(
            f"{file}: {missing} cells have no batch in obs[{key!r}]; fill them in, or name another"
            " column with --batch-key"
        )
    where = f"obs[{key!r}]"
    if missing:
        notes.append(f"no batches are used, since {where} lacks those of {missing} cells")
        return None
    number = len(set(inside))
    if len({value.lower() for value in inside}) < number:
        notes.append(f"batches in {where} that differ in case only stay apart")
    if problem := no_batches(obs[key], number, len(inside)):
        if named:
            raise ValueError(f"{file}: {where} {problem}; name another column with --batch-key")
        notes.append(f"no batches are used, since {where} {problem}")
        return None
    if not named:
        notes.append(f"batches from {where} ({number}); say --batch-key to choose another")
    return pd.Categorical(np.where(kept, values, NOTHING))


def no_batches(column: pd.Series, number: int, cells: int) -> str:
    """Reason why a column holds no batches, or an empty text."""
    numbers = pd.to_numeric(column, errors="coerce") if column.dtype.kind in "fc" else None
    if numbers is not None and number > 5 and (numbers.dropna() % 1 != 0).any():
        return f"holds {number} different numbers, as a continuous measure does"
    if number > 2 and number > cells / 3:
        return f"holds {number} different values for {cells} cells; a batch has many cells"
    return ""


def existing(obs: pd.DataFrame, key: str, option: str, file: str) -> str:
    """The key, if it is a column. Raises LookupError, naming the nearest column, if not."""
    if key not in obs:
        near = difflib.get_close_matches(key, map(str, obs.columns), n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? There are" if near else "there are"
        raise LookupError(f"{file} has no obs[{key!r}] for {option}; {hint}: {listed(obs.columns)}")
    return key


def plain(name: object) -> str:
    """A column's name without case and punctuation.

    >>> plain("Factor Value[inferred cell type - authors labels]")
    'factorvalueinferredcelltypeauthorslabels'
    """
    return "".join(letter for letter in str(name).lower() if letter.isalnum())


def likeliest(obs: pd.DataFrame, tiers: tuple[tuple[str, ...], ...]) -> list[str]:
    """The columns of the first tier that has any; one of the exact name stands alone."""
    for exact in tiers[0]:
        if exact in obs:
            return [exact]
    for tier in tiers:
        names = {plain(name) for name in tier}
        if found := [str(column) for column in obs if plain(column) in names]:
            return found
    return []


def either(columns: list[str]) -> str:
    """Columns as one of which a reader shall choose.

    >>> either(["a", "b"])
    "obs['a'] or obs['b']"
    """
    return " or ".join(f"obs[{column!r}]" for column in columns)


def listed(names: Iterable[Any], most: int = 8) -> str:
    """A few names in a row.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = [str(name) for name in names]
    if len(shown) <= most:
        return ", ".join(shown) or "none"
    return f"{', '.join(shown[:most])} and {len(shown) - most} more"
