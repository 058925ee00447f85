"""The table of broken inputs, and the sound cells that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

Build = Callable[[Path], list[str]]
CASES: dict[str, tuple[Build, str]] = {}


def broken(fragment: str) -> Callable[[Build], Build]:
    """Enter a broken input into the table: it gives the options, the sentence has the fragment."""

    def enter(build: Build) -> Build:
        CASES[build.__name__] = (build, fragment)
        return build

    return enter


def some_cells(x: Any = None, **obs: Any) -> Any:
    """Thirty cells of two types on six genes: fine, until something is done to them."""
    rng = np.random.default_rng(0)
    x = rng.poisson(2.0, (30, 6)).astype(np.float32) if x is None else x
    columns = {"cell_type": ["a", "b"] * 15} | obs
    frame = pd.DataFrame(
        {key: value for key, value in columns.items() if value is not None},
        index=pd.Index([f"cell{i}" for i in range(30)]),
    )
    return ad.AnnData(X=x, obs=frame, var=pd.DataFrame(index=[f"GENE{i}" for i in range(6)]))


def saved(folder: Path, cells: Any, name: str = "mine.h5ad") -> list[str]:
    """The cells in a file, as options of the command."""
    cells.write_h5ad(folder / name)
    return ["--data", str(folder / name)]


def edited(folder: Path, edit: Callable[[Any], None]) -> list[str]:
    """A sound file after something was done to it behind anndata's back."""
    cells = some_cells(sparse.csr_matrix(some_cells().X))
    options = saved(folder, cells)
    with h5py.File(folder / "mine.h5ad", "a") as file:
        edit(file)
    return options


def text(folder: Path, name: str, content: str) -> list[str]:
    (folder / name).write_text(content)
    return ["--data", str(folder / name)]
