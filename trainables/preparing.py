"""Source cells checked, scaled, and written in the one form that models meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from trainables.genes.symbols import named
from trainables.matrices import Survey, changed, parts, surveyed, write_csr

LIBRARY_SIZE = 1e4
LOG_CEILING = 30.0
"""No natural or base-2 log1p of scaled counts is above this; larger values were never logged."""
COUNT_CEILING = 2**24
"""float32 holds every whole number up to here, and no gene of a cell has more molecules."""


def write_cells(source: Any, name: str, sha256: str, folder: Path) -> None:
    """Source cells in the one form that models meet (see `protocols.Cells`), as files.

    Counts, where there are any, are scaled by `obs["library_size"]` (default: their own sum) to
    1e4 and get a natural-log log1p; values that come logged already are kept as they are. Cells
    whose `cell_type` is missing are left out.
    """
    check_shape(source, name)
    genes = named(source.var)
    check_names(genes.names, name)
    kept = labelled(source.obs)
    obs = source.obs[kept]
    has_counts, sums = write_values(source, kept, name, folder)
    if has_counts:
        write_logged(folder, library_sizes(obs, sums, name))
    var = pd.DataFrame(index=pd.Index(genes.names.astype(str), name="gene"))
    if genes.ids is not None:
        var["ensembl_id"] = genes.ids
    about = {
        "dataset": name,
        "has_counts": has_counts,
        "notes": [*map(str, source.uns.get("notes", [])), *genes.notes],
        "sha256": sha256,
    }
    names = ad.AnnData(var=var, uns={"gauntlet": about, "obs": known_columns(obs)})
    names.write_h5ad(folder / "names.h5ad")
    # plain lines: opened in a third of the time and of the memory that HDF5 takes for strings
    (folder / "cells.txt").write_text("\n".join(unique_names(obs)), encoding="utf-8", newline="\n")


def check_shape(source: Any, name: str) -> None:
    """Refuse what has no cells, no genes, no X, or no numbers in it."""
    if 0 in source.shape:
        raise ValueError(
            f"{name}: the matrix is empty ({source.n_obs} cells x {source.n_vars} genes)"
        )
    if source.X is None:
        raise ValueError(f"{name}: it has no X; put counts or log-normalised values there")
    matrices = {"X": source.X}
    if "counts" in source.layers:
        matrices["layers['counts']"] = source.layers["counts"]
    for where, matrix in matrices.items():
        if not any(np.issubdtype(matrix.dtype, kind) for kind in (np.integer, np.floating)):
            held = "text" if matrix.dtype.kind in "OSUT" else f"{matrix.dtype} values"
            raise ValueError(f"{name}: {where} holds {held}; it must hold real numbers")


def check_names(genes: np.ndarray, name: str) -> None:
    """Refuse duplicated gene names."""
    names = pd.Index(genes)
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        shown = ", ".join(map(str, twice[:3]))
        raise ValueError(
            f"{name}: {len(twice)} gene names occur more than once (such as {shown});"
            " make them unique with adata.var_names_make_unique() or sum their columns"
        )


def labelled(obs: pd.DataFrame) -> np.ndarray:
    """A mask of the cells that have a cell type; all where there is no such column."""
    if "cell_type" not in obs:
        return np.ones(len(obs), dtype=bool)
    return obs["cell_type"].notna().to_numpy()


def write_values(source: Any, kept: np.ndarray, name: str, folder: Path) -> tuple[bool, np.ndarray]:
    """Write raw counts as `counts.npy` where there are any, else X as `X.npy`.

    Counts are `layers["counts"]`, or X when its every value is a whole number. Returns whether
    there are counts, and the sum of each row that was written.
    """
    if "counts" in source.layers:
        check_values(surveyed(source.X), name)
        seen, sums = write_csr(source.layers["counts"], kept, folder, "counts")
        check_values(seen, name, "layers['counts']")
        if not seen.whole:
            raise ValueError(
                f"{name}: layers['counts'] holds values that are not integers; put the raw"
                " counts there, or remove the layer to use X as it is"
            )
        return True, sums
    seen, sums = write_csr(source.X, kept, folder, "X")
    check_values(seen, name)
    if seen.whole:
        (folder / "X.npy").rename(folder / "counts.npy")
    elif seen.largest > LOG_CEILING:
        raise ValueError(
            f"{name}: X holds neither integer counts nor logged values (its largest is"
            f" {seen.largest:.4g}); put raw counts in layers['counts'] or apply log1p to X"
        )
    return seen.whole, sums


def check_values(seen: Survey, name: str, where: str = "X") -> None:
    """Refuse what is no expression: NaN, infinite, negative, too large, or nothing at all."""
    if seen.broken:
        raise ValueError(
            f"{name}: {where} holds {seen.broken} NaN or infinite values; remove those cells or"
            " genes"
        )
    if seen.smallest < 0:
        raise ValueError(
            f"{name}: {where} holds negative values (down to {seen.smallest:.4g}), as scaled or"
            " centred data do; give raw counts or log-normalised values instead"
            " (perhaps adata.raw.to_adata() has them)"
        )
    if not seen.count:
        raise ValueError(f"{name}: {where} holds nothing but zeros")
    if seen.whole and seen.largest > COUNT_CEILING:
        raise ValueError(
            f"{name}: {where} holds counts up to {seen.largest:.4g}, and no gene of a cell has more"
            f" than {COUNT_CEILING:,} molecules; give one row per cell, with raw counts"
        )


def library_sizes(obs: pd.DataFrame, sums: np.ndarray, name: str) -> np.ndarray:
    """What each cell's counts are divided by: its `library_size`, else the sum of its counts.

    Raises ValueError where a library is missing or smaller than what was counted in it.
    """
    if "library_size" not in obs:
        return sums
    sizes = pd.to_numeric(obs["library_size"], errors="coerce").to_numpy(dtype=float)
    small = ~(sizes >= sums * (1 - 1e-3))
    if small.any():
        raise ValueError(
            f"{name}: obs['library_size'] of {small.sum()} cells is missing or smaller than the"
            " counts that the cell has; correct it, or drop the column to use their sum"
        )
    return sizes


def write_logged(folder: Path, library: np.ndarray) -> None:
    """log1p(counts / library x 1e4) as `X.npy`, from `counts.npy`; empty cells stay zero."""
    indptr = np.load(folder / "indptr.npy")
    scale = np.divide(LIBRARY_SIZE, library, out=np.zeros(len(library)), where=library > 0)

    def logged(counts: np.ndarray, part: slice) -> np.ndarray:
        first = np.searchsorted(indptr, part.start, side="right") - 1
        last = np.searchsorted(indptr, part.stop, side="left")
        lengths = np.diff(np.clip(indptr[first : last + 1], part.start, part.stop))
        return np.log1p(counts.astype(np.float64) * np.repeat(scale[first:last], lengths))

    changed(folder, "counts", "X", parts(int(indptr[-1]), 1), np.float32, logged)


def known_columns(obs: pd.DataFrame) -> dict[str, pd.Categorical]:
    """Cell types, batches and the source's own train and test marks as categories."""
    known = [key for key in ("cell_type", "batch", "split") if key in obs]
    return {key: pd.Categorical(obs[key].astype(str).to_numpy()) for key in known}


def unique_names(obs: pd.DataFrame) -> list[str]:
    """The cells' names, each on one line and each occurring once."""
    lines = [" ".join(str(name).splitlines()) for name in obs.index]
    return ad.utils.make_index_unique(pd.Index(lines)).tolist()
