"""Cells of a file of any usual kind, as an AnnData whose matrices stay in the file if they can."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

from trainables.readers.joining import join_labels
from trainables.readers.kinds import KINDS, kind_of, title

__all__ = ["KINDS", "join_labels", "kind_of", "parts_of", "read", "title"]
READERS = {
    "hdf5": "hdf5",
    "zarr": "anndata_files",
    "sparse": "sparse_folders",
    "table": "tables",
    "arrow": "tables",
}
"""Module that reads each kind, by its function of the same name as the kind."""


def parts_of(path: Path) -> list[Path]:
    """Return the files or folders that decide the cells of a path.

    A sparse matrix brings its files of names, and a tool's output brings no other file, such as
    its reads. Raises what `read` raises.
    """
    if kind_of(path) != "sparse":
        return [path]
    from trainables.readers.sparse_folders import matrix_of, triple_of

    triple = triple_of(matrix_of(path))
    return [part for part in (triple.matrix, triple.cells, triple.genes, triple.symbols) if part]


def read(path: Path, texts: frozenset[str] = frozenset(), transpose: bool = False) -> Any:
    """Return the cells of a file or folder.

    Matrices of an .h5ad or .zarr (X, layers, .raw) are left in the file. `texts` names columns of a
    table that describe cells, and `transpose` says that a table has a row per gene. What was
    decided, such as a column that cannot be read, stands in `uns["notes"]`. Raises LookupError
    where nothing is at the path and ValueError, in one sentence that names the file, for what
    cannot be read.
    """
    from trainables.readers import names, packed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old files, whose oddities are not the reader's concern
        place, kind = packed.unpacked(path, kind_of(path))
        if transpose and kind not in ("table", "arrow"):
            raise ValueError(
                f"{path.name} is no table, and --transpose turns tables only; write"
                ' adata.T.write_h5ad("turned.h5ad") and give that file'
            )
        module = importlib.import_module(f"trainables.readers.{READERS[kind]}")
        options = (texts, transpose) if kind in ("table", "arrow") else ()
        cells = getattr(module, kind)(place, *options)
        return names.checked(cells, path.name, kind)
