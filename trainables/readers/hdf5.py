"""HDF5 files: what wrote them is recognised by their content, whatever their ending."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any

from trainables.readers.anndata_files import WRITE_IT, readable, stored
from trainables.readers.foreign import FROM_R, several_modalities, way_out

PLUGIN = "hdf5plugin"


def hdf5(path: Path) -> Any:
    """Return the cells of an .h5ad, of a 10x .h5 or of a .loom, whatever the file is called."""
    file = opened(path)
    groups = set(file)
    if "mod" in groups:
        raise ValueError(several_modalities(list(file["mod"]), path.name))
    if {"obs", "var"} <= groups:
        refuse_missing_filter(file, path)
        return anndata_cells(file, path)
    if {"row_attrs", "col_attrs"} <= groups:
        from trainables.readers.loom import loom

        refuse_missing_filter(file, path)
        return loom(file, path)
    if tables := [name for name in groups if holds_10x(file[name])]:
        from trainables.readers.tenx_h5 import tenx

        return tenx(file, tables, path)
    raise ValueError(f"{path.name} {foreign_hdf5(file, path)}")


def opened(path: Path) -> Any:
    """Return an HDF5 file, open to be read.

    Raises ValueError, with the reason, for one that is open elsewhere, locked, or damaged.
    """
    import h5py

    try:
        return h5py.File(path, "r")
    except PermissionError as error:
        raise ValueError(f"{path} may not be read by you; change its permissions") from error
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path.name} {reason(str(error), path)}") from error


def reason(error: str, path: Path) -> str:
    """Return why HDF5 did not open a file, in words, from the library's message."""
    if "unable to lock file" in error or "Resource temporarily unavailable" in error:
        return (
            "is open elsewhere (it has an HDF5 lock), such as in a notebook or in R; close it"
            " there, or read a copy. Where the disk knows no locks, set HDF5_USE_FILE_LOCKING=FALSE"
        )
    if "already open" in error:
        return (
            "is open elsewhere to be written, or was not closed when its writer ended; close it"
            " there, or run: h5clear -s " + path.name
        )
    if "truncated file" in error:
        return (
            f"was cut short (it has {path.stat().st_size:,} bytes, and its head names more); copy"
            " or download it again"
        )
    return f"is not a readable HDF5 file: it is damaged, or was cut short; {WRITE_IT}"


def anndata_cells(file: Any, path: Path) -> Any:
    """Return the cells of an AnnData file; those of anndata before 0.7 are read whole."""
    import anndata as ad
    import h5py

    broken = f"it is damaged, or was cut short; {WRITE_IT}"
    if isinstance(file["obs"], h5py.Dataset):
        with readable(path, ".h5ad file", broken):
            return ad.read_h5ad(path)
    return stored(file, path, ".h5ad file", broken)


def holds_10x(group: Any) -> bool:
    """Whether a group has the parts of Cell Ranger's matrix, of version 2 or later."""
    return hasattr(group, "keys") and {"barcodes", "data", "indices", "indptr"} <= set(group)


def foreign_hdf5(file: Any, path: Path) -> str:
    """Return what an HDF5 file is that holds no cells for us, and the way out."""
    groups = set(file)
    if "barcode_idx" in groups:
        return (
            "is Cell Ranger's molecule_info.h5, which lists molecules; give"
            " filtered_feature_bc_matrix.h5 of the same folder"
        )
    if "assays" in groups or path.suffix.lower() == ".h5seurat":
        return f"is a SeuratDisk file; {way_out('.h5seurat')}"
    if any("pandas_type" in file[name].attrs for name in groups):
        return (
            "is a pandas table in HDF5; write it as a table:"
            f' pandas.read_hdf("{path.name}").to_parquet("mine.parquet")'
        )
    if any(name.startswith("assay") for name in groups):
        return f"is an HDF5Array of R, without names of cells; {FROM_R}"
    if path.suffix.lower() == ".h5":
        return (
            "is not a readable 10x .h5 file, and was not written by anndata either; give Cell"
            " Ranger's filtered_feature_bc_matrix.h5"
        )
    missing = [part for part in ("obs", "var") if part not in groups]
    return f"was not written by anndata: it has no {' and no '.join(missing)}; {WRITE_IT}"


def refuse_missing_filter(file: Any, path: Path) -> None:
    """Raise ValueError, which names the package, for data in a compression that is missing."""
    h5z = importlib.import_module("h5py.h5z")

    with readable(path, "HDF5 file", "it links to a file that is not there; copy that, too"):
        names = ("X", "layers", "raw", "obs", "var", "matrix")
        parts = [file[name] for name in names if file.get(name, getlink=True)]
    missing = {number for part in parts for number in filters_of(part)}
    missing = {number for number in missing if not h5z.filter_avail(number)}
    if not missing:
        return
    with contextlib.suppress(ImportError):
        importlib.import_module(PLUGIN)  # registers its filters
    if left := {number for number in missing if not h5z.filter_avail(number)}:
        what = ", ".join(FILTERS.get(number, f"HDF5 filter {number}") for number in sorted(left))
        raise ValueError(
            f"{path.name} is compressed with {what}, which needs the package {PLUGIN}: uv sync"
            f" --extra {PLUGIN} (or pip install {PLUGIN}); or write it again with"
            ' adata.write_h5ad("mine.h5ad", compression="gzip")'
        )


FILTERS = {
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "Bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32026: "Blosc2",
}
"""Names of registered HDF5 filters that hdf5plugin has."""


def filters_of(part: Any) -> set[int]:
    """Return the numbers of the filters of a data set, or of all data sets of a group."""
    import h5py

    found: set[int] = set()

    def look(_: str, element: Any) -> None:
        if isinstance(element, h5py.Dataset) and element.chunks:
            settings = element.id.get_create_plist()
            found.update(settings.get_filter(i)[0] for i in range(settings.get_nfilters()))

    if isinstance(part, h5py.Dataset):
        look("", part)
    else:
        part.visititems(look)
    return found
