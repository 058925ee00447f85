"""Cells of a file of any usual kind, as an AnnData whose matrices stay in the file if they can."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

read_elem: Any = ad.io.read_elem
WRITE_IT = "write it again with adata.write_h5ad()"


def read(path: Path, texts: frozenset[str] = frozenset()) -> Any:
    """The cells of a file or folder; `texts` names columns of a table that are not genes.

    Matrices of an .h5ad or .zarr (X, layers, .raw) are left in the file. Raises LookupError where
    nothing is there and ValueError, in one sentence that names the file, for what cannot be read.
    """
    kind = kind_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old files, whose oddities are not the reader's concern
        return table(path, texts) if kind in TABLES else READERS[kind](path)


def kind_of(path: Path) -> str:
    """The ending that says how a file is read; a folder is ".zarr" or "10x"."""
    if not path.exists():
        raise LookupError(f"there is no file {path}; give the path of {KINDS}")
    if path.is_dir():
        if any((path / mark).exists() for mark in (".zgroup", "zarr.json")):
            return ".zarr"
        if path.suffix == ".zarr":
            raise ValueError(f"{path.name} holds no zarr group; write it with adata.write_zarr()")
        if any(path.glob("matrix.mtx*")):
            return "10x"
        raise ValueError(
            f"{path.name} is a folder with neither a matrix.mtx nor a zarr group in it; give the"
            f" path of {KINDS}"
        )
    kind = next((k for k in (*READERS, *TABLES) if path.name.lower().endswith(k)), None)
    if kind is None:
        raise ValueError(
            f"{path.name} is of no kind that can be read here; give {KINDS}, as"
            " adata.write_h5ad() writes it"
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name} is an empty file; {WRITE_IT}")
    return kind


def title(path: Path) -> str:
    """A file's name without the ending that says its kind."""
    known = (k for k in (*READERS, *TABLES) if path.name.lower().endswith(k))
    return path.name[: -len(next(known, path.suffix)) or None]


@contextmanager
def readable(path: Path, what: str, way_out: str) -> Iterator[None]:
    """Turn whatever a library raises for a broken file into one sentence."""
    try:
        yield
    except PermissionError as error:
        raise ValueError(f"{path} may not be read by you; change its permissions") from error
    except Exception as error:  # the libraries raise a dozen kinds for broken files
        raise ValueError(f"{path.name} is not a readable {what}: {way_out}") from error


def h5ad(path: Path) -> Any:
    """An `.h5ad`, its matrices left in the file; files of anndata before 0.7 are read whole."""
    import h5py

    broken = f"it is damaged, or was cut short; {WRITE_IT}"
    with readable(path, ".h5ad file", broken):
        file = h5py.File(path)
    if isinstance(file.get("obs"), h5py.Dataset):
        with readable(path, ".h5ad file", broken):
            cells = ad.read_h5ad(path)
        return cells
    return stored(file, path, ".h5ad file", broken)


def zarr(path: Path) -> Any:
    """A `.zarr` folder, its matrices left there."""
    broken = "it is damaged, or was cut short; write it again with adata.write_zarr()"
    with readable(path, "zarr folder", broken):
        import zarr as library

        group = library.open_group(path, mode="r")
    return stored(group, path, "zarr folder", broken)


def stored(group: Any, path: Path, what: str, broken: str) -> Any:
    """The AnnData of an HDF5 or Zarr group, as far as we need it."""
    missing = [part for part in ("obs", "var") if part not in group]
    if missing:
        raise ValueError(
            f"{path.name} was not written by anndata: it has no {' and no '.join(missing)};"
            f" {WRITE_IT}"
        )
    with readable(path, what, broken):
        obs, var = (read_elem(group[part]) for part in ("obs", "var"))
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
    with readable(path, what, broken):
        return ad.AnnData(X=x, obs=obs, var=var, layers=layers, uns=uns, raw=raw)


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
    return len(getattr(element, "shape", ())) == 2


def matrix(element: Any) -> Any:
    """A matrix where it lies: rows and columns are read when they are asked for.

    Raises ValueError for a sparse one whose parts are of different lengths.
    """
    if not hasattr(element, "keys"):
        return element
    ends, stored = element["indptr"][:], element["data"].shape
    if ends[-1] != stored[0] or element["indices"].shape != stored or (np.diff(ends) < 0).any():
        raise ValueError("the parts of a sparse matrix do not fit together")
    return ad.io.sparse_dataset(element)


def loom(path: Path) -> Any:
    """A `.loom` file, for which anndata needs loompy."""
    try:
        import loompy  # pyright: ignore[reportMissingImports]  # noqa: F401
    except ImportError:
        raise LookupError(
            f"{path.name} needs loompy to be read; install it (pip install loompy), or convert the"
            " file to .h5ad"
        ) from None
    with readable(path, ".loom file", "it is damaged, or is no loom file at all"):
        return ad.io.read_loom(path, validate=False)


def tenx_h5(path: Path) -> Any:
    """Cell Ranger's `.h5`: genes only, under their symbols, ids in `var["gene_ids"]`."""
    with readable(path, "10x .h5 file", "give Cell Ranger's filtered_feature_bc_matrix.h5"):
        import scanpy as sc

        return sc.read_10x_h5(path)


def tenx_folder(folder: Path) -> Any:
    """Cell Ranger's or STARsolo's folder of matrix, barcodes and features (or genes)."""
    from scipy import sparse
    from scipy.io import mmread

    barcodes, features = one_of(folder, "barcodes.tsv"), one_of(folder, "features.tsv", "genes.tsv")
    with readable(folder, "10x folder", "one of its three files is damaged"):
        counts = sparse.csr_matrix(mmread(one_of(folder, "matrix.mtx")).T)
        cells = pd.read_csv(barcodes, sep="\t", header=None, dtype=str)[0]
        genes = pd.read_csv(features, sep="\t", header=None, dtype=str)
    if counts.shape != (len(cells), len(genes)):
        raise ValueError(
            f"{folder.name}: matrix.mtx is of {counts.shape[1]} genes x {counts.shape[0]} cells,"
            f" but there are {len(genes)} names of genes and {len(cells)} barcodes; the three files"
            " must come from one run"
        )
    named = genes[min(1, genes.shape[1] - 1)].astype(str)
    var = pd.DataFrame({"gene_ids": genes[0].to_numpy()}, index=pd.Index(named.to_numpy()))
    whole = ad.AnnData(X=counts, obs=pd.DataFrame(index=pd.Index(cells.to_numpy())), var=var)
    if genes.shape[1] < 3:
        return whole
    return whole[:, (genes[2] == "Gene Expression").to_numpy()].copy()


def one_of(folder: Path, *names: str) -> Path:
    """The first of these files that is there, compressed or not."""
    for name in names:
        for path in (folder / f"{name}.gz", folder / name):
            if path.exists():
                return path
    raise LookupError(
        f"{folder.name} has no {' or '.join(names)} (.gz or not); a 10x folder has matrix.mtx,"
        " barcodes.tsv and features.tsv (or genes.tsv)"
    )


def table(path: Path, texts: frozenset[str]) -> Any:
    """A table with a row a cell and a column a gene; columns named in `texts` describe cells."""
    frame = text_table(path)
    obs = frame[[column for column in frame if column in texts]]
    genes = frame.drop(columns=obs.columns)
    for column, kind in genes.dtypes.items():
        if kind.kind not in "iufb":
            numbers: Any = pd.to_numeric(genes[column], errors="coerce")
            wrong = int(numbers.isna().to_numpy().argmax())
            raise ValueError(
                f"{path.name}: column {column!r} holds text ({genes[column].iloc[wrong]!r}"
                f" in row {frame.index[wrong]!r}); a table has a row a cell and a column a"
                " gene, numbers only, and labels in a file of their own (--labels)"
            )
    return ad.AnnData(
        X=genes.to_numpy(dtype=np.float32), obs=obs, var=pd.DataFrame(index=genes.columns)
    )


def text_table(path: Path) -> pd.DataFrame:
    """A .csv or .tsv whose first column names the rows."""
    separator = "," if ".csv" in path.name.lower() else "\t"
    with readable(path, "table", "separate columns by commas (.csv) or tabs (.tsv)"):
        frame = pd.read_csv(path, sep=separator, index_col=0, low_memory=False)
        frame.index = frame.index.astype(str)
        # pandas numbers repeated names ("A", "A.1"), which would hide them
        header = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str)
        frame.columns = header.iloc[0, 1:].astype(str)
    if frame.shape[1] == 0:
        raise ValueError(
            f"{path.name} has a single column; separate columns by"
            f" {'commas' if separator == ',' else 'tabs'}"
        )
    return frame


READERS: dict[str, Callable[[Path], Any]] = {
    ".h5ad": h5ad,
    ".zarr": zarr,
    ".h5": tenx_h5,
    ".loom": loom,
    "10x": tenx_folder,
}
TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
KINDS = "an .h5ad, .zarr, 10x .h5, .loom, .csv or .tsv file or a 10x folder"
