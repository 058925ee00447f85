"""Source cells in the one form that models meet, written as the intake decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.intake.finding import LIBRARY_SIZE
from trainables.intake.taking import Intake
from trainables.matrices import changed, parts, write_csr


def write_cells(source: Any, intake: Intake, name: str, sha256: str, folder: Path) -> None:
    """Source cells in the one form that models meet (see `protocols.Cells`), as files.

    X is ln(1 + counts per 10,000): counts are divided by the library that the intake found for
    each cell, logarithms are brought to this base and total. Cells that the intake left out do not
    take part.
    """
    obs = source.obs[intake.kept]
    has_counts = intake.decision.values.kind == "counts"
    if has_counts:
        write_csr(intake.counts(source, folder), folder, "counts")
        write_logged(folder, intake.library)
    else:
        write_csr(logged_blocks(source, intake, folder), folder, "X")
    genes = intake.genes
    var = pd.DataFrame(index=pd.Index(genes.names.astype(str), name="gene"))
    if genes.ids is not None:
        var["ensembl_id"] = genes.ids
    about = {
        "dataset": name,
        "has_counts": has_counts,
        "intake": json.dumps(intake.decision.as_dict()),
        "sha256": sha256,
    }
    names = ad.AnnData(var=var, uns={"gauntlet": about, "obs": columns(obs, intake)})
    names.write_h5ad(folder / "names.h5ad")
    # plain lines: opened in a third of the time and of the memory that HDF5 takes for strings
    (folder / "cells.txt").write_text("\n".join(unique_names(obs)), encoding="utf-8", newline="\n")


def logged_blocks(source: Any, intake: Intake, scratch: Path) -> Iterator[sparse.csr_matrix]:
    """ln(1 + counts per 10,000) of the kept cells, some at a time."""
    start = 0
    for block in intake.counts(source, scratch):
        yield intake.logged(block, start)
        start += block.shape[0]


def write_logged(folder: Path, library: np.ndarray) -> None:
    """ln(1 + counts / library x 10,000) as `X.npy`, from `counts.npy`; empty cells stay zero."""
    indptr = np.load(folder / "indptr.npy")
    scale = np.divide(LIBRARY_SIZE, library, out=np.zeros(len(library)), where=library > 0)

    def logged(counts: np.ndarray, part: slice) -> np.ndarray:
        first = np.searchsorted(indptr, part.start, side="right") - 1
        last = np.searchsorted(indptr, part.stop, side="left")
        lengths = np.diff(np.clip(indptr[first : last + 1], part.start, part.stop))
        return np.log1p(counts.astype(np.float64) * np.repeat(scale[first:last], lengths))

    changed(folder, "counts", "X", parts(int(indptr[-1]), 1), np.float32, logged)


def columns(obs: pd.DataFrame, intake: Intake) -> dict[str, Any]:
    """Cell types, batches and the source's own train and test marks as categories.

    "copy_of" is there where cells repeat others: the number of the first cell of the same values.
    """
    known = [key for key in ("cell_type", "batch", "split") if key in obs]
    found: dict[str, Any] = {key: pd.Categorical(obs[key].astype(str).to_numpy()) for key in known}
    if intake.decision.copies:
        own = np.arange(len(obs))
        found["copy_of"] = np.where(intake.first_copy < 0, own, intake.first_copy)
    return found


def unique_names(obs: pd.DataFrame) -> list[str]:
    """The cells' names, each on one line and each occurring once."""
    lines = [" ".join(str(name).splitlines()) for name in obs.index]
    return ad.utils.make_index_unique(pd.Index(lines)).tolist()
