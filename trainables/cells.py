"""Cells: checked and normalised once, kept as memory-mapped CSR, opened by every trial."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.protocols import Cells, Dataset
from trainables.store import Store

LIBRARY_SIZE = 1e4
LOG_CEILING = 30.0
"""No natural or base-2 log1p of scaled counts is above this; larger values were never logged."""


def recipe(dataset_sha256: str) -> dict[str, Any]:
    """What decides a prepared data set: the source's content and how we prepare."""
    return {"artifact": "cells", "version": 1, "sha256": dataset_sha256}


def prepare(dataset: Dataset, store: Store) -> Path:
    """Read, check, normalise and keep a data set, once; the folder to give to `open_cells`.

    Raises ValueError, in one sentence that names the data set, when its cells are unusable.
    """

    def make(draft: Path) -> None:
        cells = normalised(dataset.read(), dataset.name)
        cells.uns["gauntlet"]["sha256"] = dataset.sha256
        write_cells(cells, draft)

    return store.get(recipe(dataset.sha256), make)


def normalised(source: Any, name: str) -> Cells:
    """Source cells in the one form that models meet (see `protocols.Cells`).

    Counts, where there are any, are scaled by `obs["library_size"]` (default: their own sum) to
    1e4 and get a natural-log log1p; values that come logged already are kept as they are.
    """
    check_names(source, name)
    values = as_csr(source.X)
    check_values(values, name)
    obs = source.obs[[k for k in ("cell_type", "batch") if k in source.obs]].copy()
    for key in obs:
        obs[key] = pd.Categorical(obs[key].astype(str))
    counts = find_counts(source, values, name)
    if counts is not None:
        library = source.obs.get("library_size")
        sizes = (
            np.asarray(counts.sum(axis=1)).ravel()
            if library is None
            else library.to_numpy(dtype=float)
        )
        values = log_normalise(counts, sizes)
    elif values.data.size and values.data.max() > LOG_CEILING:
        raise ValueError(
            f"{name}: X holds neither integer counts nor logged values (its largest is"
            f" {values.data.max():.4g}); put raw counts in layers['counts'] or apply log1p to X"
        )
    var = pd.DataFrame(index=pd.Index(source.var_names.astype(str), name="gene"))
    if "ensembl_id" in source.var:
        var["ensembl_id"] = source.var["ensembl_id"].astype(str).to_numpy()
    layers = {} if counts is None else {"counts": counts.astype(np.float32)}
    obs.index = ad.utils.make_index_unique(source.obs_names.astype(str))
    about = {
        "dataset": name,
        "has_counts": counts is not None,
        "notes": list(source.uns.get("notes", [])),
    }
    return new_cells(
        X=values.astype(np.float32), obs=obs, var=var, layers=layers, uns={"gauntlet": about}
    )


def new_cells(**parts: Any) -> Cells:
    """An AnnData, under the type that says what is in it."""
    return cast(Cells, ad.AnnData(**parts))


def as_csr(values: Any) -> sparse.csr_matrix:
    """Any matrix as CSR with sorted indices and no stored zeros, never the caller's own."""
    matrix = sparse.csr_matrix(values, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def check_names(source: Any, name: str) -> None:
    """Refuse empty matrices and duplicated gene names."""
    if 0 in source.shape:
        raise ValueError(
            f"{name}: the matrix is empty ({source.n_obs} cells x {source.n_vars} genes)"
        )
    if source.X is None:
        raise ValueError(f"{name}: it has no X; put counts or log-normalised values there")
    genes = source.var_names
    if not genes.is_unique:
        twice = genes[genes.duplicated()].unique()
        shown = ", ".join(map(str, twice[:3]))
        raise ValueError(
            f"{name}: {len(twice)} gene names occur more than once (such as {shown});"
            " make them unique with adata.var_names_make_unique() or sum their columns"
        )


def check_values(values: sparse.csr_matrix, name: str) -> None:
    """Refuse what is no expression: NaN, infinite, negative, or nothing at all."""
    if not np.issubdtype(values.dtype, np.number):
        raise ValueError(f"{name}: X holds {values.dtype} values; it must hold numbers")
    bad = ~np.isfinite(values.data)
    if bad.any():
        raise ValueError(
            f"{name}: X holds {bad.sum()} NaN or infinite values; remove those cells or genes"
        )
    if values.data.size and values.data.min() < 0:
        raise ValueError(
            f"{name}: X holds negative values (down to {values.data.min():.4g}), as scaled or"
            " centred data do; give raw counts or log-normalised values instead"
        )
    if not values.data.size:
        raise ValueError(f"{name}: X holds nothing but zeros")


def find_counts(source: Any, values: sparse.csr_matrix, name: str) -> sparse.csr_matrix | None:
    """Raw counts from `layers["counts"]`, or from X when every value is an integer."""
    if "counts" in source.layers:
        layer = as_csr(source.layers["counts"])
        check_values(layer, f"{name}, layers['counts']")
        if not is_integer(layer):
            raise ValueError(
                f"{name}: layers['counts'] holds values that are not integers; put the raw"
                " counts there, or remove the layer to use X as it is"
            )
        return layer
    return values if is_integer(values) else None


def is_integer(values: sparse.csr_matrix) -> bool:
    """Whether every stored value is a whole number."""
    return bool(np.all(values.data == np.round(values.data)))


def log_normalise(counts: sparse.csr_matrix, library: np.ndarray) -> sparse.csr_matrix:
    """log1p(counts / library x 1e4), row by row; rows without counts stay zero."""
    scale = np.divide(LIBRARY_SIZE, library, out=np.zeros(len(library)), where=library > 0)
    logged = counts.astype(np.float64)
    logged.data = np.log1p(logged.data * np.repeat(scale, np.diff(counts.indptr)))
    return logged


def write_cells(cells: Cells, folder: Path) -> None:
    """One `.npy` per CSR array, so that readers can map them, and the names beside them."""
    matrices = {"X": cells.X, **cells.layers}
    for name, matrix in matrices.items():
        for part in ("data", "indices", "indptr"):
            np.save(folder / f"{name}.{part}.npy", getattr(matrix, part))
    ad.AnnData(obs=cells.obs, var=cells.var, uns=cells.uns).write_h5ad(folder / "names.h5ad")


@lru_cache(maxsize=4)  # a warm worker meets the same cells again and again
def open_cells(folder: Path) -> Cells:
    """Prepared cells whose matrices stay on disk until touched; never write to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ad.read_h5ad(folder / "names.h5ad")
    kept = sorted({path.name.split(".")[0] for path in folder.glob("*.indptr.npy")})
    matrices = {name: map_csr(folder, name, names.shape) for name in kept}
    values = matrices.pop("X")
    return new_cells(X=values, obs=names.obs, var=names.var, layers=matrices, uns=names.uns)


def map_csr(folder: Path, name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    """A CSR matrix over read-only memory maps."""
    parts = [
        np.load(folder / f"{name}.{p}.npy", mmap_mode="r") for p in ("data", "indices", "indptr")
    ]
    return sparse.csr_matrix(tuple(parts), shape=shape, copy=False)


def rows(cells: Cells, index: np.ndarray, *, labels: bool) -> Cells:
    """Some cells, in memory; without `labels`, nothing of a label is there to read."""
    obs = cells.obs.iloc[index]
    kept = [key for key in obs if labels or key != "cell_type"]
    layers = {name: layer[index] for name, layer in cells.layers.items()}
    return new_cells(
        X=cells.X[index], obs=obs[kept].copy(), var=cells.var, layers=layers, uns=cells.uns
    )


def fit_rows(cells: Cells) -> np.ndarray:
    """The rows that may be fitted on: those marked "train", or all where nothing is marked."""
    if "split" not in cells.obs:
        return np.arange(cells.n_obs)
    return np.flatnonzero(cells.obs["split"] == "train")
