"""Labels from a table of their own, joined to cells by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

ENOUGH = 0.5
"""Least share of the shorter list of names that must agree, for names that were changed."""


def labels_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of labels whose index names cells, and notes on how it was read.

    Raises LookupError where there is no file, and ValueError for what is no table.
    """
    from trainables.readers import packed, tables
    from trainables.readers.kinds import kind_of

    place, kind = packed.unpacked(path, kind_of(path))
    if kind == "arrow":
        return tables.arrow_table(place), []
    if kind != "table":
        raise ValueError(
            f"{path.name} is no table; --labels takes a .csv or .tsv with names of cells first"
        )
    return tables.text_table(place)


def join_labels(obs: pd.DataFrame, path: Path, file: str, notes: list[str]) -> pd.DataFrame:
    """Return `obs` with the columns of a table of labels, cell by cell, whatever their order.

    Cells are named by the table's first column, else by the column that names most cells. Names
    that differ only by Cell Ranger's "-1", by a separator or by the name of a sample agree where
    that leaves no doubt. Raises LookupError where too few names agree, and ValueError where a cell
    is named twice.
    """
    table, more = labels_table(path)
    notes += more
    table = named_by_best(table, obs.index, path, notes)
    refuse_shifted(obs.index, table.index, path)
    matched, how = agreeing(obs.index, table.index)
    if how is None:
        raise LookupError(
            f"{path.name} names none of the cells of {file} in its first column (it has"
            f" {', '.join(map(str, table.index[:2]))}; the cells are"
            f" {', '.join(map(str, obs.index[:2]))}); write the names of the cells there"
            f"{several_samples(obs.index, table.index)}"
        )
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise ValueError(f"{path.name} has two columns {twice!r}; give each a name of its own")
    rows = table[table.index.isin(obs.index)]
    if how:
        notes.append(f"{path.name} joined by names of cells {how}")
        rows = table.loc[matched.tolist()].set_axis(matched.index, axis=0)
    if rows.index.has_duplicates:
        twice = rows.index[rows.index.duplicated()][0]
        raise ValueError(f"{path.name} names the cell {twice!r} twice; give one row a cell")
    if (repeated := obs.index[obs.index.duplicated() & obs.index.isin(rows.index)]).size:
        raise ValueError(
            f"{file} has several cells of one name (such as {repeated[0]}), so {path.name} cannot"
            " tell them apart; make names unique in both, or put labels into obs"
        )
    if replaced := [str(column) for column in rows.columns if column in obs]:
        notes.append(f"{path.name} replaces obs[{replaced[0]!r}] of {file}")
    if len(rows) < len(obs):
        notes.append(f"{path.name} names {len(rows):,} of {len(obs):,} cells")
    return obs.drop(columns=rows.columns, errors="ignore").join(rows)


def several_samples(cells: pd.Index, names: pd.Index) -> str:
    """Return a hint where the table has the cells' barcodes more than once, else nothing."""
    other = barcodes(texts(names))
    shared = other[other.isin(barcodes(texts(cells)))]
    return ", and keep those of this sample only" if shared.duplicated().any() else ""


def refuse_shifted(cells: pd.Index, names: pd.Index, path: Path) -> None:
    """Raise ValueError where cells are numbered from 0 and the table's rows from 1, or likewise:
    most numbers would agree, and every label would be that of a neighbour."""
    starts = [numbered_from(index) for index in (cells, names)]
    if None not in starts and starts[0] != starts[1]:
        raise ValueError(
            f"{path.name} numbers its rows from {starts[1]}, and the cells are numbered from"
            f" {starts[0]}; write the names of the cells in its first column"
        )


def numbered_from(names: pd.Index) -> int | None:
    """Return the first of consecutive numbers in any order; None for other names."""
    if not all(name.isdigit() for name in map(str, names)):
        return None
    numbers = sorted(map(int, names))
    consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers[0] if consecutive and numbers[0] in (0, 1) else None


def named_by_best(
    table: pd.DataFrame, cells: pd.Index, path: Path, notes: list[str]
) -> pd.DataFrame:
    """Return the table indexed by the column that names cells, where its first does not."""
    if agreeing(cells, table.index)[1] is not None:
        return table
    for i in range(table.shape[1]):
        if table.dtypes.iloc[i].kind not in "OT":
            continue
        names = pd.Index(table.iloc[:, i].astype(str).str.strip())
        if agreeing(cells, names)[1] is not None:
            notes.append(f"{path.name} names cells in column {table.columns[i]!r}")
            keep = [j for j in range(table.shape[1]) if j != i]
            return table.iloc[:, keep].set_axis(names, axis=0)
    return table


def agreeing(cells: pd.Index, names: pd.Index) -> tuple[pd.Series, str | None]:
    """Return the name in the table for each cell that has one, and how names were made to agree.

    The words are "" where names agree as they are, and None where too few agree in any way.
    """
    exact = int(names.isin(cells).sum())
    needed = ENOUGH * min(len(cells), len(names))
    if exact >= needed and exact:
        return pd.Series(dtype=object), ""
    for how, change in CHANGES.items():
        own, other = change(texts(cells)), change(texts(names))
        if not (own.is_unique and other.is_unique):
            continue
        both = own[own.isin(other)]
        if len(both) and len(both) >= needed and len(both) > exact:
            back = pd.Series(names, index=pd.Index(other))
            return pd.Series(back[both].to_numpy(), index=cells[own.isin(other).to_numpy()]), how
    return pd.Series(dtype=object), "" if exact else None


def texts(names: pd.Index) -> pd.Series:
    """Return names as text without quotes and outer blanks."""
    return pd.Series(names.astype(str)).str.strip().str.strip("\"'")


def plain_separators(names: Any) -> pd.Series:
    """Return names with one separator for all, since R writes "." for "-" and "X1" for "1".

    >>> plain_separators(pd.Series(["X1_AAC.1", "1_AAC-1"])).tolist()
    ['1_AAC_1', '1_AAC_1']
    """
    return names.str.replace(r"[-._:#|/ ]+", "_", regex=True).str.replace(
        r"^X(?=\d)", "", regex=True
    )


def without_suffix(names: Any) -> pd.Series:
    """Return names without Cell Ranger's number of the lane ("-1"), with any separator."""
    return plain_separators(names).str.replace(r"_\d+$", "", regex=True)


def barcodes(names: Any) -> pd.Series:
    """Return the barcodes inside names; a name without one stays as it is."""
    found = names.str.extract(r"([ACGT]{10,}(?:[-_.][ACGT]{6,})*)", expand=False)
    return found.fillna(names)


CHANGES: dict[str, Callable[[pd.Series], pd.Series]] = {
    "without quotes and blanks": lambda names: names,
    "whatever separates their parts": plain_separators,
    'without their ending such as "-1"': without_suffix,
    "by their barcodes alone": barcodes,
}
"""Ways to make names agree, the least change first."""
