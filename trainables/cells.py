"""Prepared cells: kept as memory-mapped CSR, opened by every trial, and parts of them viewed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import anndata as ad
import numpy as np
import pandas as pd

from trainables.intake.decision import Decision
from trainables.intake.taking import take
from trainables.matrices import map_csr, undamaged
from trainables.preparing import write_cells
from trainables.protocols import Cells, Dataset
from trainables.store import Store


def recipe(dataset_sha256: str) -> dict[str, Any]:
    """What decides a prepared data set: the source's content and how we prepare.

    `version` is part of every trial's id and goes up when prepared values change; `layout` goes up
    when only the files do.
    """
    return {"artifact": "cells", "version": 2, "layout": 1, "sha256": dataset_sha256}


def prepare(dataset: Dataset, store: Store) -> Path:
    """Read, check, normalise and keep a data set, once; the folder to give to `open_cells`.

    Matrices that `dataset.read()` leaves in their file are read in blocks, so that memory does
    not grow with the number of cells. Raises ValueError, in one sentence that names the data set,
    when its cells are unusable.
    """

    def make(draft: Path) -> None:
        with undamaged(dataset.name):
            source = dataset.read()
            intake = getattr(dataset, "intake", None)  # a user's file is decided on for its id
            if intake is None:
                options = getattr(dataset, "options", None)
                intake = take(source, dataset.name, options, draft)
            write_cells(source, intake, dataset.name, dataset.sha256, draft)

    return store.get(recipe(dataset.sha256), make)


def decision(cells: Cells) -> Decision:
    """The decision of the intake on prepared cells."""
    return Decision.from_dict(cells.uns["gauntlet"]["intake"])


def new_cells(**parts: Any) -> Cells:
    """An AnnData, under the type that says what is in it."""
    return cast(Cells, ad.AnnData(**parts))


@lru_cache(maxsize=4)  # a warm worker meets the same cells again and again
def open_cells(folder: Path) -> Cells:
    """Prepared cells whose matrices stay on disk until touched; never write to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ad.read_h5ad(folder / "names.h5ad")
    lines = (folder / "cells.txt").read_text(encoding="utf-8").split("\n")
    obs = pd.DataFrame(names.uns.pop("obs"), index=pd.Index(lines))
    shape = (len(obs), names.n_vars)
    about = names.uns["gauntlet"] = dict(names.uns["gauntlet"])
    about["intake"] = json.loads(about["intake"])
    about["notes"] = about["intake"]["notes"]
    kept = ["counts"] if about["has_counts"] else []
    layers = {name: map_csr(folder, name, shape) for name in kept}
    return new_cells(
        X=map_csr(folder, "X", shape), obs=obs, var=names.var, layers=layers, uns=names.uns
    )


def rows(cells: Cells, index: np.ndarray, *, labels: bool) -> Cells:
    """Some cells, still on disk; without `labels`, nothing of a label is there to read.

    The source's train and test marks stay behind too: the task has parted the cells already.

    What comes back of some rows is an AnnData view: each `.X` or layer asked of it copies its rows
    into memory anew, so ask once, or go through `blocks`. All rows in order are not copied at all.
    Labels of other rows are gone from what is viewed.
    """
    everyone = len(index) == cells.n_obs and bool((index == np.arange(cells.n_obs)).all())
    whole: Any = shown(cells, index if labels else None)
    return whole if everyone else viewed(whole, index)


def parted(cells: Cells, parts: Sequence[np.ndarray], *, labelled: bool = False) -> list[Cells]:
    """Train, valid and test cells, as `rows` gives them: the first two with labels.

    The labels of both are seen through either, and of the test cells none unless `labelled`.
    """
    train, valid, test = parts
    whole = shown(cells, np.concatenate([train, valid]))
    return [viewed(whole, train), viewed(whole, valid), rows(cells, test, labels=labelled)]


def viewed(cells: Cells, index: np.ndarray) -> Cells:
    """A view of some rows, whose columns have no categories but those that occur.

    anndata takes four fifths of a view's time to drop unused ones, of which there are mostly none.
    """
    columns = [cells.obs[key].array for key in cells.obs]
    unused = any(
        0 in np.bincount(column.codes[index] + 1, minlength=len(column.categories) + 1)[1:]
        for column in columns
        if isinstance(column, pd.Categorical)
    )
    with ad.settings.override(remove_unused_categories=unused):
        return cast(Any, cells)[index]


def shown(cells: Cells, index: np.ndarray | None) -> Cells:
    """All cells without their train and test marks, and with the labels of some rows or none."""
    columns = {
        key: cells.obs[key].array
        for key in cells.obs
        if key not in ("cell_type", "split", "copy_of")
    }
    if index is not None and "cell_type" in cells.obs:
        known = pd.Categorical(cells.obs["cell_type"])
        codes = np.full_like(known.codes, -1)
        codes[index] = known.codes[index]
        columns["cell_type"] = pd.Categorical.from_codes(codes, known.categories)
    obs = pd.DataFrame(columns, index=cells.obs.index)
    layers = dict(cells.layers)
    return new_cells(X=cells.X, obs=obs, var=cells.var, layers=layers, uns=cells.uns)


def words(cells: Cells, key: str) -> np.ndarray:
    """A column of `obs` as an array of strings, "nan" where it says nothing."""
    column = pd.Categorical(cells.obs[key])
    return np.append(column.categories.astype(str).to_numpy(object), "nan")[column.codes]


def copies(cells: Cells) -> np.ndarray | None:
    """For each cell the number of the first cell of the very same values; None without copies."""
    return cells.obs["copy_of"].to_numpy() if "copy_of" in cells.obs else None


def blocks(cells: Cells, size: int = 4096) -> Iterator[Cells]:
    """The cells in order, `size` at a time, each block's values read when they are asked for."""
    for start in range(0, cells.n_obs, size):
        yield cast(Any, cells)[start : start + size]


def fit_rows(cells: Cells) -> np.ndarray:
    """The rows that may be fitted on: those marked "train", or all where nothing is marked."""
    if "split" not in cells.obs:
        return np.arange(cells.n_obs)
    return np.flatnonzero(cells.obs["split"] == "train")


def fit_values(cells: Cells) -> Any:
    """The values of the rows that may be fitted on: X itself, uncopied, where those are all."""
    return cells.X[fit_rows(cells)] if "split" in cells.obs else cells.X
