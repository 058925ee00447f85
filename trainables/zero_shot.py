"""What the zero-shot tasks share: cells that are embedded without labels, then scored with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from trainables.audit import shown_labels
from trainables.cells import rows, words
from trainables.metrics.space import Space, provenance
from trainables.protocols import Cells, Context, Embedder
from trainables.seeds import stream


def embedded(model: Embedder, cells: Cells, ctx: Context, scored: np.ndarray) -> Space:
    """All cells embedded, without a label to read; the scored ones with what is known of them.

    Only a control that says so is shown labels (see `audit.shown_labels`).
    """
    everyone = rows(cells, np.arange(cells.n_obs), labels=shown_labels(model))
    coordinates = np.asarray(model.embed(everyone, ctx))
    return Space(coordinates[scored], words(cells, "cell_type")[scored], batches(cells)[scored])


def batches(cells: Cells) -> np.ndarray:
    """The batch of each cell; one and the same where none is known."""
    known = "batch" in cells.obs
    return words(cells, "batch") if known else np.full(cells.n_obs, "", dtype=object)


def sample(n_cells: int, most: int, ctx: Context) -> np.ndarray:
    """The rows to score: all of them, or a seeded draw of `most`, the same for every model."""
    if n_cells <= most:
        return np.arange(n_cells)
    drawn = stream(ctx.seed, "scored cells").permutation(n_cells)[:most]
    return np.sort(drawn)


def described(backend: str, most: int, cells: Cells | None, how: str = "") -> str:
    """The protocol in words, for tables."""
    taken = "all cells"
    if cells is not None and cells.n_obs > most:
        taken = f"{most:,} of {cells.n_obs:,} cells drawn by the seed"
    return ", ".join(filter(None, ("zero-shot", taken, provenance(backend), how)))


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Raise ValueError for a value that is none of those known.

    >>> check_choice("backend", "scib", ["scib", "scib-metrics"])
    """
    if value not in known:
        raise ValueError(f"{name} {value!r} is none of those there are: {', '.join(known)}")


def check_labels(task: str, cells: Cells) -> None:
    """Raise ValueError when there are no cell types to score against."""
    if "cell_type" not in cells.obs:
        raise ValueError(f"{task} needs cell types to score against: name --label-key")
    if cells.obs["cell_type"].nunique() < 2:
        raise ValueError(f"{task} needs at least two cell types to score against")


def save_umap(space: Space, names: Any, ctx: Context) -> None:
    """Keep `umap.parquet`: cell, x, y, cell_type, batch; UMAP with min_dist 0.3, as the paper's."""
    x, y = umap(space).T
    table = {"cell": names, "x": x, "y": y, "cell_type": space.labels, "batch": space.batches}
    ctx.save("umap.parquet", pd.DataFrame(table))


def umap(space: Space) -> np.ndarray:
    """scanpy's UMAP of the graph that clusters were found in: cells x 2."""
    import anndata as ad
    import scanpy as sc

    coordinates: Any = {"embedding": np.asarray(space.embedding)}
    holder: Any = ad.AnnData(obsm=coordinates)
    holder.obsp["connectivities"] = space.neighbours.graph
    holder.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"n_neighbors": 15, "method": "umap", "use_rep": "embedding"},
    }
    sc.tl.umap(holder, min_dist=0.3, random_state=0)
    return holder.obsm["X_umap"]
