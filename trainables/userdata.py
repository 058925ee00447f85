"""A user's own cells as a data set, refused in one sentence when they cannot be one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables import readers
from trainables.intake import labels as columns
from trainables.intake.decision import INTAKE, IntakeOptions
from trainables.intake.gene_words import TABLE_COLUMNS
from trainables.intake.taking import Intake, take
from trainables.matrices import undamaged
from trainables.store import digest, file_sha256


@dataclass(frozen=True)
class UserFile:
    """Cells of a file, under the names that the rest of Gauntlet knows.

    `label_key` and `batch_key` are columns of `obs`; without them the usual names are tried, and a
    note says which was taken. `labels` is a table with a row a cell, whose columns join `obs`.
    Cells without a label are left out, and so are cell types of fewer than `min_cells`.
    `counts_layer`, `values` and `library_size` decide where content cannot: see `IntakeOptions`.
    `transpose` says that a table has a row per gene. `title` names the cells in place of the file.
    """

    path: Path
    label_key: str | None = None
    batch_key: str | None = None
    min_cells: int = 0
    labels: Path | None = None
    counts_layer: str | None = None
    values: str | None = None
    library_size: str | None = None
    transpose: bool = False
    title: str = ""

    def __post_init__(self) -> None:
        """Take paths as text too: a sweep's file spells them so."""
        object.__setattr__(self, "path", Path(self.path))
        if self.labels is not None:
            object.__setattr__(self, "labels", Path(self.labels))
        _ = self.options  # refuses an unknown word at once

    @property
    def options(self) -> IntakeOptions:
        """The user's part in the decision of the intake."""
        return IntakeOptions(self.counts_layer, self.values, None, self.library_size)

    @property
    def name(self) -> str:
        """The title, else the file's name without its ending."""
        return self.title or readers.title(self.path)

    @cached_property
    def sha256(self) -> str:
        """The hash of the content, of the options, and of what the intake decided.

        Raises LookupError when there is no such file, ValueError when it cannot be used.
        """
        keys = {"label_key": self.label_key, "batch_key": self.batch_key, "min": self.min_cells}
        if self.transpose:
            keys["transpose"] = True
        labels = None if self.labels is None else content_sha256(self.labels)
        parts = [content_sha256(part) for part in readers.parts_of(self.path)]
        files = {"file": parts[0] if len(parts) == 1 else parts, "labels": labels}
        taken = {"options": asdict(self.options), "values": asdict(self.intake.decision.values)}
        return digest({**files, **keys, **taken, "reading": INTAKE})

    @cached_property
    def intake(self) -> Intake:
        """The decision on this file, made once; the file is read in blocks for it."""
        with undamaged(self.name):
            return take(self.read(), self.name, self.options)

    @property
    def summary(self) -> str:
        return f"your own cells, from {self.path.name}"

    def read(self) -> Any:
        """The file's cells with `cell_type`, perhaps `batch`, and what was decided in words.

        Cells to leave out have no `cell_type`. Raises ValueError for what cannot be read and
        LookupError for a column that is not there.
        """
        asked = {key for key in (self.label_key, self.batch_key) if key}
        file = self.path.name
        cells = readers.read(self.path, frozenset(asked | TABLE_COLUMNS), self.transpose)
        notes: list[str] = [*cells.uns.get("notes", [])]
        obs = cells.obs
        if self.labels is not None:
            obs = readers.join_labels(obs, self.labels, file, notes)
        refuse_unread(cells, {*asked, "cell_type"} - {*map(str, obs.columns)}, file)
        label_key = columns.label_column(obs, self.label_key, file, notes)
        types = columns.cell_types(obs, label_key, self.min_cells, file, notes)
        batch_key = columns.batch_column(obs, self.batch_key, file, notes)
        batches = None
        if batch_key is not None:
            named = self.batch_key is not None
            batches = columns.batches_of(obs, types.notna(), batch_key, named, file, notes)
        obs = obs.assign(cell_type=types)
        cells.obs = obs.drop(columns="batch", errors="ignore")
        if batches is not None:
            cells.obs["batch"] = batches
            if batch_key == label_key:
                notes.append(f"cell types and batches are the same column, obs[{batch_key!r}]")
        cells.uns["label_key"] = label_key
        cells.uns["batch_key"] = batch_key if batches is not None else ""
        cells.uns["notes"] = notes
        return cells


def refuse_unread(cells: Any, needed: set[str], file: str) -> None:
    """Raise ValueError for a column that is needed and whose encoding anndata does not know."""
    if unread := sorted(needed & set(cells.uns.get("unread", []))):
        raise ValueError(
            f"{file}: obs[{unread[0]!r}] has an encoding that this version of anndata does not"
            f" know; write it as text: adata.obs[{unread[0]!r}] ="
            f" adata.obs[{unread[0]!r}].astype(str)"
        )


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
