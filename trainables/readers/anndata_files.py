"""AnnData in HDF5 or zarr, its matrices left where they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.readers.foreign import several_modalities

read_elem: Any = ad.io.read_elem
WRITE_IT = "write it again with adata.write_h5ad()"


@contextmanager
def readable(path: Path, what: str, way_out: str) -> Iterator[None]:
    """Turn whatever a library raises for a broken file into one sentence."""
    try:
        yield
    except PermissionError as error:
        raise ValueError(f"{path} may not be read by you; change its permissions") from error
    except UnicodeDecodeError as error:
        odd = bytes(error.object[:20]).decode("latin-1")
        raise ValueError(
            f"{path.name} holds text that is not UTF-8 (such as {odd!r}); {WRITE_IT}"
        ) from error
    except Exception as error:  # the libraries raise a dozen kinds for broken files
        raise ValueError(f"{path.name} is not a readable {what}: {way_out}") from error


def zarr(path: Path) -> Any:
    """Return the cells of a zarr folder, of format 2 or 3, its matrices left there."""
    broken = "it is damaged, or was cut short; write it again with adata.write_zarr()"
    with readable(path, "zarr folder", broken):
        import zarr as library

        # metadata of the whole folder may name types of a later zarr, in parts that nobody needs
        group: Any = library.open_group(path, mode="r", use_consolidated=False)
        names = set(group)
    if "mod" in names:
        raise ValueError(several_modalities(list(group["mod"]), path.name))
    if tables := [f"{k}/{name}" for k in ("tables", "table") if k in names for name in group[k]]:
        raise ValueError(
            f"{path.name} is SpatialData; give the path of its table: {path / tables[0]}"
        )
    if "obs" in names and not hasattr(group["obs"], "keys"):  # anndata before 0.7
        with readable(path, "zarr folder", broken):
            return ad.io.read_zarr(path)
    return stored(group, path, "zarr folder", broken)


def stored(group: Any, path: Path, what: str, broken: str) -> Any:
    """Return the AnnData of an HDF5 or Zarr group, as far as the intake needs it.

    `uns["notes"]` says which columns cannot be read, and `uns["unread"]` names them.
    """
    missing = [part for part in ("obs", "var") if part not in group]
    if missing:
        raise ValueError(
            f"{path.name} was not written by anndata: it has no {' and no '.join(missing)};"
            f" {WRITE_IT}"
        )
    with readable(path, what, broken):
        obs, unread = frame(group["obs"])
        var, unread_var = frame(group["var"])
        x = matrix(group["X"]) if is_matrix(group.get("X")) else None
        layers = {
            name: matrix(group["layers"][name])
            for name in group.get("layers", ())
            if is_matrix(group["layers"][name])
        }
        raw = stored_raw(group)
        uns = {"log1p": read_elem(group["uns"]["log1p"])} if "log1p" in group.get("uns", ()) else {}
    found = {"X": x} if x is not None else {}
    for where, values in (found | {f"layers[{k!r}]": v for k, v in layers.items()}).items():
        if values.shape != (len(obs), len(var)):
            raise ValueError(
                f"{path.name}: {where} is {' x '.join(map(str, values.shape))}, but obs names"
                f" {len(obs)} cells and var {len(var)} genes; {WRITE_IT}"
            )
    columns = [f"obs[{name!r}]" for name in unread] + [f"var[{name!r}]" for name in unread_var]
    if columns:
        uns["notes"] = [
            f"{', '.join(columns)} left out: this version of anndata does not know the encoding"
        ]
        uns["unread"] = unread
    with readable(path, what, broken):
        return ad.AnnData(X=x, obs=obs, var=var, layers=layers, uns=uns, raw=raw)


def frame(element: Any) -> tuple[pd.DataFrame, list[str]]:
    """Return a stored table, and the names of its columns whose encoding anndata does not know."""
    try:
        return read_elem(element), []
    except Exception:
        # one column of a later version of anndata must not cost the others
        order = element.attrs.get("column-order") if hasattr(element, "keys") else None
        unknown = [] if order is None else [c for c in order if encoding(element[c]) not in ENCODED]
        if order is None or not unknown:
            raise
    index = pd.Index(read_elem(element[element.attrs["_index"]]))
    columns = {str(name): read_elem(element[name]) for name in order if name not in unknown}
    return pd.DataFrame(columns, index=index), [str(name) for name in unknown]


def encoding(element: Any) -> tuple[str, str]:
    """Return type and version of the encoding of a stored column."""
    return element.attrs.get("encoding-type", ""), element.attrs.get("encoding-version", "")


ENCODED = {
    ("", ""),
    ("array", "0.2.0"),
    ("string-array", "0.2.0"),
    ("categorical", "0.2.0"),
    ("nullable-integer", "0.1.0"),
    ("nullable-boolean", "0.1.0"),
    ("nullable-string-array", "0.1.0"),
    ("null", "0.1.0"),
}
"""Encodings of columns that anndata 0.12 reads; one of these that fails is damaged."""


def stored_raw(group: Any) -> dict[str, Any] | None:
    """Matrix and genes of `.raw`, left where they are; None where there are none of these cells."""
    raw = group.get("raw")
    if raw is None or not hasattr(raw, "keys") or not is_matrix(raw.get("X")) or "var" not in raw:
        return None
    return {"X": matrix(raw["X"]), "var": read_elem(raw["var"])}


def is_matrix(element: Any) -> bool:
    """Whether an element of a file holds a matrix, and not nothing or a table."""
    if element is None:
        return False
    if hasattr(element, "keys"):
        return any(part in element for part in ("data", "indices", "indptr"))
    return len(getattr(element, "shape", None) or ()) == 2


def refuse_missing_chunks(array: Any) -> None:
    """Raise ValueError for a zarr array of which chunks are missing: zarr reads zeros for them.

    A dense matrix may lack chunks of zeros; values and indices of a sparse one are not all zero.
    """
    stored, number = getattr(array, "nchunks_initialized", None), getattr(array, "nchunks", None)
    if stored is not None and number is not None and stored < number:
        raise ValueError(f"{number - stored} of {number} chunks of a sparse matrix are missing")


def matrix(element: Any) -> Any:
    """A matrix where it lies: rows and columns are read when they are asked for.

    Raises ValueError for a sparse one whose parts are of different lengths, or lack chunks.
    """
    if not hasattr(element, "keys"):
        return element
    ends, stored = element["indptr"][:], element["data"].shape
    if ends[-1] != stored[0] or element["indices"].shape != stored or (np.diff(ends) < 0).any():
        raise ValueError("the parts of a sparse matrix do not fit together")
    for part in ("data", "indices"):
        refuse_missing_chunks(element[part])
    if not np.dtype(element["data"].dtype).isnative:  # scipy knows no other order of bytes
        kind = (
            sparse.csc_matrix if "csc" in str(element.attrs["encoding-type"]) else sparse.csr_matrix
        )
        data = element["data"][:].astype(element["data"].dtype.newbyteorder("="))
        return kind((data, element["indices"][:], ends), shape=tuple(element.attrs["shape"]))
    return ad.io.sparse_dataset(element)
