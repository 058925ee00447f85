"""A user's own `.h5ad` as a data set, refused in one sentence when it cannot be one."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd

from trainables.store import digest, file_sha256


@dataclass(frozen=True)
class UserFile:
    """Cells of a file, under the names that the rest of Gauntlet knows.

    `label_key` and `batch_key` are columns of `obs`; without them `cell_type` and `batch` are
    used where they exist. Cells without a label are left out, and so are cell types of fewer
    than `min_cells` cells.
    """

    path: Path
    label_key: str | None = None
    batch_key: str | None = None
    min_cells: int = 0

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @cached_property
    def sha256(self) -> str:
        """The hash of the file's bytes and of how its columns are read.

        Raises LookupError when there is no such file.
        """
        if not self.path.exists():
            raise LookupError(f"there is no file {self.path}; give the path of an .h5ad file")
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; give the path of an .h5ad file")
        keys = {"label_key": self.label_key, "batch_key": self.batch_key, "min": self.min_cells}
        return digest({"file": file_sha256(self.path), **keys})

    @property
    def summary(self) -> str:
        return f"your own cells, from {self.path.name}"

    def read(self) -> Any:
        """The file's cells with `cell_type`, perhaps `batch`, and what was left out in words.

        Raises ValueError for what is no h5ad and LookupError for a column that is not there.
        """
        cells = read_h5ad(self.path)
        label_key = self.column(cells.obs, self.label_key, "cell_type", "--label-key")
        batch_key = self.column(cells.obs, self.batch_key, "batch", "--batch-key")
        notes: list[str] = []
        if label_key:
            cells = self.labelled(cells, label_key, notes)
        if batch_key:
            batches = cells.obs[batch_key].astype(str).to_numpy()
            cells.obs["batch"] = pd.Categorical(batches)
        if "counts" not in cells.layers and same_genes(cells) and is_whole(cells.raw.X):
            cells.layers["counts"] = cells.raw.X
        cells.uns["notes"] = notes
        return cells

    def column(self, obs: Any, key: str | None, usual: str, option: str) -> str | None:
        """The column to use, or None where an optional one is simply not there."""
        if key is None:
            if usual in obs or option == "--batch-key":
                return usual if usual in obs else None
            raise LookupError(
                f"{self.path.name} has no obs[{usual!r}]; name the column of cell types with"
                f" {option}. There are: {listed(obs.columns)}"
            )
        if key not in obs:
            near = difflib.get_close_matches(key, map(str, obs.columns), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? There are" if near else "there are"
            raise LookupError(
                f"{self.path.name} has no obs[{key!r}] for {option}; {hint}: {listed(obs.columns)}"
            )
        return key

    def labelled(self, cells: Any, key: str, notes: list[str]) -> Any:
        """The cells that have a label of a large enough class, as `obs["cell_type"]`."""
        labels = cells.obs[key]
        if pd.api.types.is_float_dtype(labels) and labels.nunique() > 50:
            raise ValueError(
                f"{self.path.name}: obs[{key!r}] holds {labels.nunique()} different numbers;"
                " cell types must be categories, so name another column with --label-key"
            )
        known = labels.notna().to_numpy() & (labels.astype(str).str.strip() != "").to_numpy()
        if not known.all():
            notes.append(f"{(~known).sum()} cells without a label in obs[{key!r}] are left out")
        sizes = labels[known].value_counts()
        small = list(sizes.index[(sizes > 0) & (sizes < self.min_cells)])
        if small:
            notes.append(f"types of fewer than {self.min_cells} cells left out: {listed(small)}")
        kept = known & ~labels.isin(small).to_numpy()
        if not kept.any():
            raise ValueError(f"{self.path.name}: no cell has a usable label in obs[{key!r}]")
        cells = cells[kept].copy()
        cells.obs["cell_type"] = pd.Categorical(cells.obs[key].astype(str).to_numpy())
        return cells


def read_h5ad(path: Path) -> Any:
    """A file as anndata reads it.

    Raises ValueError, naming the file, for whatever is not a readable h5ad.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ad.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise a dozen kinds for broken files
        if path.suffix == ".h5ad":
            broken = "it is damaged, or was cut short; write it again with adata.write_h5ad()"
        else:
            broken = "save your cells with adata.write_h5ad()"
        raise ValueError(f"{path.name} is not a readable .h5ad file: {broken}") from error


def same_genes(cells: Any) -> bool:
    """Whether `.raw` has the very genes of X, so that it may serve as a layer."""
    return cells.raw is not None and list(cells.raw.var_names) == list(cells.var_names)


def is_whole(values: Any) -> bool:
    """Whether a matrix holds whole numbers only."""
    from trainables.cells import as_csr, is_integer

    return is_integer(as_csr(values))


def listed(names: Iterable[object], most: int = 8) -> str:
    """A few names in a row.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = [str(name) for name in names]
    if len(shown) <= most:
        return ", ".join(shown) or "none"
    return f"{', '.join(shown[:most])} and {len(shown) - most} more"
