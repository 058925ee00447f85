"""Text, Parquet and Feather tables with a row a cell and a column a gene, or turned."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from trainables.readers.anndata_files import readable
from trainables.readers.dialects import Dialect, dialect_of, lines_of
from trainables.readers.names import is_turned

WESTERN = "cp1252"
"""Encoding of texts of Western Europe from Windows; Latin-1 but for quotes and the euro."""


def table(path: Path, texts: frozenset[str], transpose: bool) -> Any:
    """Return the cells of a text table; columns named in `texts`, or of text, describe cells."""
    frame, notes = text_table(path)
    return from_frame(frame, notes, path, texts, transpose)


def arrow(path: Path, texts: frozenset[str], transpose: bool) -> Any:
    """Return the cells of a Parquet or Feather table."""
    frame = arrow_table(path)
    return from_frame(frame, [], path, texts, transpose)


def from_frame(
    frame: pd.DataFrame, notes: list[str], path: Path, texts: frozenset[str], transpose: bool
) -> Any:
    """Return the AnnData of a table whose index names its rows.

    Raises ValueError for genes x cells that are not to be turned, and for genes whose values are
    not numbers.
    """
    refuse_lists(frame, path)
    refuse_wrong_way(frame, path, transpose)
    about = pd.DataFrame(index=frame.columns)
    if transpose:
        of_genes = columns_where(frame, holds_no_number)
        about, frame = frame.loc[:, of_genes], transposed(frame.loc[:, ~of_genes])
    described = columns_where(frame, describes_cells)
    described |= np.array([{str(c), str(c).lower()} & texts != set() for c in frame.columns], bool)
    obs, genes = frame.loc[:, described], frame.loc[:, ~described]
    if obs.columns.has_duplicates:
        twice = obs.columns[obs.columns.duplicated()][0]
        raise ValueError(f"{path.name} has two columns {twice!r}; give each a name of its own")
    numeric = [str(name) for name, kind in obs.dtypes.items() if kind.kind in "iuf"]
    if numeric:
        listed = ", ".join(numeric[:5]) + (", ..." if len(numeric) > 5 else "")
        notes = [*notes, f"columns that describe cells and are no genes: {listed}"]
    refuse_texts(genes, path)
    var = about.loc[~described].set_axis(genes.columns.astype(str), axis=0)
    cells = ad.AnnData(genes.to_numpy(dtype=np.float32), obs=obs, var=var)
    cells.uns["notes"] = notes
    return cells


RECEPTORS = {"contig_id", "sequence_id", "cdr3", "junction_aa"}
"""Columns of tables of receptors, of Cell Ranger's V(D)J and of AIRR, in lower case."""


def refuse_lists(frame: pd.DataFrame, path: Path) -> None:
    """Raise ValueError for tables that are no matrix: a count per row, or receptors of cells."""
    if RECEPTORS & {str(column).lower() for column in frame.columns}:
        raise ValueError(
            f"{path.name} describes receptors (V(D)J) and holds no counts of genes; give"
            " filtered_feature_bc_matrix.h5 of the same sample"
        )
    numeric = [kind.kind in "iuf" for kind in frame.dtypes]
    if sorted(numeric) == [False, True] and frame.index.has_duplicates:
        raise ValueError(
            f"{path.name} lists a gene, a cell and a count in each row; make a matrix of it:"
            f' scanpy.read_umi_tools("{path.name}").write_h5ad("mine.h5ad")'
        )
    if frame.index.duplicated().mean() > 0.5:
        raise ValueError(
            f"{path.name}: its first column does not name cells, since {frame.index[0]!r} and"
            " others repeat; give a table with a row a cell and a column a gene"
        )


def refuse_wrong_way(frame: pd.DataFrame, path: Path, transpose: bool) -> None:
    """Raise ValueError for genes x cells without --transpose, and for cells x genes with it."""
    if is_turned(frame.index, frame.columns) and not transpose:
        raise ValueError(
            f"{path.name} is genes x cells (its rows are {', '.join(frame.index[:2])}); add"
            " --transpose"
        )
    if transpose and is_turned(frame.columns, frame.index):
        raise ValueError(
            f"{path.name} is cells x genes already (its columns are"
            f" {', '.join(map(str, frame.columns[:2]))}); leave --transpose out"
        )


def columns_where(frame: pd.DataFrame, holds: Callable[[pd.Series], bool]) -> np.ndarray:
    """Return a mask of the columns for which this holds; it never does for those of numbers."""
    kinds = [kind.kind for kind in frame.dtypes]
    found = [k not in "iuf" and holds(frame.iloc[:, i]) for i, k in enumerate(kinds)]
    return np.array(found, dtype=bool)


def describes_cells(column: pd.Series) -> bool:
    """Whether a column describes cells, because it holds no number at all."""
    return column.dtype.kind == "b" or holds_no_number(column)


def holds_no_number(column: pd.Series) -> bool:
    """Whether a column is of text alone, as names of genes or types of cells are."""
    if column.dtype.kind in "iufb":
        return False
    filled = column.dropna()
    return len(filled) > 0 and bool(pd.to_numeric(filled, errors="coerce").isna().all())


def refuse_texts(genes: pd.DataFrame, path: Path) -> None:
    """Raise ValueError for the first value of a gene that is no number."""
    for i in np.flatnonzero([kind.kind not in "iuf" for kind in genes.dtypes]):
        column = genes.iloc[:, int(i)]
        numbers: Any = pd.to_numeric(column, errors="coerce")
        wrong = int(numbers.isna().to_numpy().argmax())
        raise ValueError(
            f"{path.name}: column {column.name!r} holds text ({column.iloc[wrong]!r} in row"
            f" {genes.index[wrong]!r}); a table has a row a cell and a column a gene, numbers only,"
            " and labels in a file of their own (--labels)"
        )


def transposed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table turned; rows of text become columns of text."""
    if all(frame.dtypes.iloc[i].kind in "iuf" for i in range(frame.shape[1])):
        return frame.T
    turned: Any = frame.astype(object).T
    for i, name in enumerate(turned.columns):
        numbers: Any = pd.to_numeric(turned.iloc[:, i], errors="coerce")
        if numbers.notna().sum() >= turned.iloc[:, i].notna().sum():
            turned.isetitem(i, numbers.astype(np.float64))
        else:
            turned.isetitem(i, turned.iloc[:, i].rename(name))
    return turned


def arrow_table(path: Path) -> pd.DataFrame:
    """Return a Parquet or Feather table whose index names its rows."""
    with readable(path, "Parquet or Feather table", "it is damaged, or was cut short"):
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        frame = pd.read_parquet(path) if parquet else pd.read_feather(path)
    numbered = isinstance(frame.index, pd.RangeIndex)
    if numbered and frame.shape[1] and frame.dtypes.iloc[0].kind not in "iuf":
        frame = frame.set_index(frame.columns[0])
    frame.index = pd.Index(frame.index.astype(str).str.strip(), name=None)
    frame.columns = frame.columns.astype(str)
    return frame


def text_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a text table whose first column names the rows, and notes on how it was read.

    Raises ValueError for what is no table.
    """
    notes: list[str] = []
    try:
        dialect = dialect_of(path)
        frame = parsed(path, dialect)
    except UnicodeDecodeError:
        dialect = dialect_of(path, WESTERN)
        frame = parsed(path, dialect)
        notes.append(f"{path.name} is not UTF-8, so it was read as Windows-1252 (Latin-1)")
    if frame.shape[0] == 0:
        raise ValueError(f"{path.name} has a header and no rows")
    if dialect.decimal == ",":
        notes.append(f"{path.name} was read with decimal commas")
    return indexed(frame, notes, path), notes


def parsed(path: Path, dialect: Dialect) -> pd.DataFrame:
    """Return a table with the numbers of its columns as names, the first column as text."""
    with lines_of(path, dialect.encoding) as text:
        for _ in range(dialect.skip):
            text.readline()
        try:
            frame = pd.read_csv(
                io.StringIO(text.read()) if dialect.encoding == "utf-16" else text,
                sep=dialect.separator,
                header=None,
                decimal=dialect.decimal,
                dtype={0: str},
                skipinitialspace=True,
                low_memory=False,
            )
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=list(dialect.header))
        except pd.errors.ParserError as error:
            raise ValueError(f"{path.name} is not a readable table: {plain(error)}") from error
    names = list(dialect.header)
    if frame.shape[1] > len(names):
        raise ValueError(
            f"{path.name} is not a readable table: its header has {len(names)} columns, and a row"
            f" has {frame.shape[1]}"
        )
    frame.columns = names[: frame.shape[1]]
    return frame


def plain(error: Exception) -> str:
    """Return the reason of an error in one line."""
    return " ".join(str(error).replace("Error tokenizing data. C error: ", "").split())


def indexed(frame: pd.DataFrame, notes: list[str], path: Path) -> pd.DataFrame:
    """Return the table indexed by its names of rows: the first column, or the second where the
    first only numbers the rows."""
    names, rest = frame.iloc[:, 0].fillna("NA").str.strip(), frame.iloc[:, 1:]
    empty = [rest.columns[i] == "" and rest.iloc[:, i].isna().all() for i in range(rest.shape[1])]
    rest = rest.loc[:, ~np.array(empty, dtype=bool)]
    if numbers_rows(names) and rest.shape[1] and str(frame.columns[0]).lower() in NUMBERED:
        second = rest.iloc[:, 0]
        if second.dtype == object and second.is_unique and second.notna().all():
            notes.append(
                f"{path.name} names its rows in column {rest.columns[0]!r}; the first column only"
                " numbers them"
            )
            names, rest = second.str.strip(), rest.iloc[:, 1:]
    return rest.set_axis(pd.Index(names.to_numpy()), axis=0)


NUMBERED = ("", "unnamed: 0", "index", "x", "row", "rownum", "...1")
"""Names of columns that number rows, as pandas, R and readr write them."""


def numbers_rows(names: pd.Series) -> bool:
    """Whether names are 0, 1, 2, ... or 1, 2, 3, ..."""
    values = names.tolist()
    return values in (list(map(str, range(len(values)))), list(map(str, range(1, len(values) + 1))))
