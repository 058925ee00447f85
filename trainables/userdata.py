"""A user's own cells as a data set, refused in one sentence when they cannot be one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from trainables import readers
from trainables.store import digest, file_sha256

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
READING = 2
"""Goes up whenever the same file would be read otherwise; it is part of the cells' identity."""


@dataclass(frozen=True)
class UserFile:
    """Cells of a file, under the names that the rest of Gauntlet knows.

    `label_key` and `batch_key` are columns of `obs`; without them the usual names are tried, and
    what was found is said in the notes. `labels` is a table with a row a cell, whose columns join
    `obs`. Cells without a label are left out, and so are cell types of fewer than `min_cells`.
    """

    path: Path
    label_key: str | None = None
    batch_key: str | None = None
    min_cells: int = 0
    labels: Path | None = None

    def __post_init__(self) -> None:
        """Take paths as text too: a sweep's file spells them so."""
        object.__setattr__(self, "path", Path(self.path))
        if self.labels is not None:
            object.__setattr__(self, "labels", Path(self.labels))

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return readers.title(self.path)

    @cached_property
    def sha256(self) -> str:
        """The hash of the content and of how its columns are read.

        Raises LookupError when there is no such file, ValueError when it may not be read.
        """
        readers.kind_of(self.path)
        keys = {"label_key": self.label_key, "batch_key": self.batch_key, "min": self.min_cells}
        labels = None if self.labels is None else content_sha256(self.labels)
        files = {"file": content_sha256(self.path), "labels": labels}
        return digest({**files, **keys, "reading": READING})

    @property
    def summary(self) -> str:
        return f"your own cells, from {self.path.name}"

    def read(self) -> Any:
        """The file's cells with `cell_type`, perhaps `batch`, and what was decided in words.

        Cells to leave out have no `cell_type`. Raises ValueError for what cannot be read and
        LookupError for a column that is not there.
        """
        asked = {key for key in (self.label_key, self.batch_key) if key}
        cells = readers.read(self.path, frozenset(asked | TABLE_COLUMNS))
        obs = cells.obs if self.labels is None else self.joined(cells.obs, self.labels)
        notes: list[str] = []
        label_key = self.label_column(obs, notes)
        batch_key = self.batch_column(obs, notes)
        batches = None if batch_key is None else self.batches(obs, batch_key)
        obs = obs.assign(cell_type=self.cell_types(obs, label_key, notes))
        cells.obs = obs.drop(columns="batch", errors="ignore")
        if batches is not None:
            cells.obs["batch"] = batches
        cells.uns["notes"] = notes
        return cells

    def joined(self, obs: pd.DataFrame, path: Path) -> pd.DataFrame:
        """`obs` with the columns of the table of labels, cell by cell."""
        more = readers.text_table(path)
        known = more.index.isin(obs.index)
        if not known.any():
            raise LookupError(
                f"{path.name} names none of the cells of {self.path.name} in its first column (it"
                f" has {listed(more.index, 2)}; the cells are {listed(obs.index, 2)})"
            )
        if more.index.has_duplicates:
            twice = more.index[more.index.duplicated()][0]
            raise ValueError(f"{path.name} names the cell {twice!r} twice; give one row a cell")
        return obs.drop(columns=more.columns, errors="ignore").join(more)

    def label_column(self, obs: pd.DataFrame, notes: list[str]) -> str:
        """The column of cell types: as asked for, or the likeliest by its name."""
        if self.label_key is not None:
            return self.known(obs, self.label_key, "--label-key")
        found = likeliest(obs, LABELS)
        if len(found) > 1:
            raise LookupError(
                f"{self.path.name}: cell types could be in {either(found)}; say which with"
                " --label-key"
            )
        if not found:
            raise LookupError(
                f"{self.path.name} has no obs['cell_type'] or the like; name the column of cell"
                f" types with --label-key (there are: {listed(obs.columns)}), or give a table of"
                " them with --labels FILE.csv"
            )
        types = obs[found[0]].nunique()
        notes.append(
            f"labels from obs[{found[0]!r}] ({types} types); say --label-key to choose another"
        )
        return found[0]

    def batch_column(self, obs: pd.DataFrame, notes: list[str]) -> str | None:
        """The column of batches, or None where there is none, or no telling which."""
        if self.batch_key is not None:
            return self.known(obs, self.batch_key, "--batch-key")
        found = likeliest(obs, BATCHES)
        if len(found) > 1:
            notes.append(f"batches could be in {either(found)}, so none are used; say --batch-key")
        if len(found) != 1:
            return None
        where, column = f"obs[{found[0]!r}]", obs[found[0]]
        if column.isna().any():
            notes.append(f"no batches are used, since {where} lacks those of some cells")
            return None
        notes.append(
            f"batches from {where} ({column.nunique()}); say --batch-key to choose another"
        )
        return found[0]

    def known(self, obs: pd.DataFrame, key: str, option: str) -> str:
        """The key, if it is a column."""
        if key not in obs:
            near = difflib.get_close_matches(key, map(str, obs.columns), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? There are" if near else "there are"
            raise LookupError(
                f"{self.path.name} has no obs[{key!r}] for {option}; {hint}: {listed(obs.columns)}"
            )
        return key

    def cell_types(self, obs: pd.DataFrame, key: str, notes: list[str]) -> pd.Categorical:
        """Each cell's type; missing where there is no label or its class is too small."""
        labels = obs[key]
        types = labels.nunique()
        if pd.api.types.is_numeric_dtype(labels) and types > 50:
            raise ValueError(
                f"{self.path.name}: obs[{key!r}] holds {types} different numbers;"
                " cell types must be categories, so name another column with --label-key"
            )
        known = labels.notna().to_numpy() & (labels.astype(str).str.strip() != "").to_numpy()
        if types > 50 and types > known.sum() / 3:
            raise ValueError(
                f"{self.path.name}: obs[{key!r}] holds {types} different values for"
                f" {known.sum()} cells, as names of cells do; cell types must be categories, so"
                " name another column with --label-key"
            )
        if not known.all():
            notes.append(f"{(~known).sum()} cells without a label in obs[{key!r}] are left out")
        sizes = labels[known].value_counts()
        small = list(sizes.index[(sizes > 0) & (sizes < self.min_cells)])
        if small:
            notes.append(f"types of fewer than {self.min_cells} cells left out: {listed(small)}")
        kept = known & ~labels.isin(small).to_numpy()
        if len(kept) and not kept.any():
            raise ValueError(f"{self.path.name}: no cell has a usable label in obs[{key!r}]")
        return pd.Categorical(labels.astype(str).where(kept).to_numpy())

    def batches(self, obs: pd.DataFrame, key: str) -> pd.Categorical:
        """Each cell's batch."""
        missing = obs[key].isna().sum()
        if missing:
            raise ValueError(
                f"{self.path.name}: {missing} cells have no batch in obs[{key!r}]; fill them in, or"
                " name another column with --batch-key"
            )
        return pd.Categorical(obs[key].astype(str).to_numpy())


def content_sha256(path: Path) -> str:
    """The hash of a file's bytes, or of the names and bytes of a folder's files.

    Raises LookupError when there is no such file, ValueError when it may not be read.
    """
    try:
        if not path.is_dir():
            return file_sha256(path)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest({file.relative_to(path).as_posix(): file_sha256(file) for file in files})
    except FileNotFoundError:
        raise LookupError(f"there is no file {path}") from None
    except PermissionError:
        raise ValueError(f"{path} may not be read by you; change its permissions") from None


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


TABLE_COLUMNS = frozenset(
    {"cell_type", "celltype", "CellType", "cell_types", "label", "labels", "batch", "donor"}
)
"""What a column of a table is called when it describes cells and is no gene."""


def listed(names: Iterable[object], most: int = 8) -> str:
    """A few names in a row.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = [str(name) for name in names]
    if len(shown) <= most:
        return ", ".join(shown) or "none"
    return f"{', '.join(shown[:most])} and {len(shown) - most} more"
