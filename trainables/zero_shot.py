"""What the zero-shot tasks share: cells that are embedded without labels, then scored with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trainables.audit import shown_labels
from trainables.cells import rows, words
from trainables.metrics.space import Space, provenance
from trainables.protocols import Cells, Context, Embedder
from trainables.seeds import stream


def chosen(cells: Cells, min_genes: int, without: Sequence[str] | str) -> Cells:
    """Cells with `min_genes` genes at least, of all batches but those of `without`.

    Raises ValueError for a batch that no cell is of, and where no cell is left.
    """
    mask = np.ones(cells.n_obs, dtype=bool)
    if min_genes:
        values: Any = cells.layers.get("counts", cells.X)
        mask &= np.asarray((values > 0).sum(axis=1)).ravel() >= min_genes
    without = [without] if isinstance(without, str) else without
    if without:
        batch = batches(cells)
        for name in without:
            if name not in batch:
                names = ", ".join(filter(None, np.unique(batch))) or "none; name --batch-key"
                raise ValueError(
                    f"no cell is of the batch {name!r}, which task.without leaves out; the batches"
                    f" are: {names}"
                )
        mask &= ~np.isin(batch, list(without))
    if not mask.any():
        raise ValueError(
            "no cell is left: lower task.min_genes, or leave out fewer batches (task.without)"
        )
    return cells if mask.all() else rows(cells, np.flatnonzero(mask), labels=True)


def embedded(
    model: Embedder, cells: Cells, ctx: Context, scored: np.ndarray, n_components: int = 0
) -> Space:
    """All cells embedded, without a label to read; the scored ones with what is known of them.

    `n_components`: how many principal components stand for the embedding; 0 takes it as it is.
    Only a control that says so is shown labels (see `audit.shown_labels`).
    """
    everyone = rows(cells, np.arange(cells.n_obs), labels=shown_labels(model))
    coordinates = np.asarray(model.embed(everyone, ctx))
    if 0 < n_components < min(coordinates.shape):
        from sklearn.decomposition import PCA

        coordinates = PCA(n_components, svd_solver="covariance_eigh").fit_transform(coordinates)
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


def all_cells(min_genes: int, without: Sequence[str] | str) -> str:
    """Which cells `chosen` takes, in words.

    >>> all_cells(10, ("donor 1",))
    'all cells with 10 genes or more, without batch donor 1'
    """
    without = [without] if isinstance(without, str) else list(without)
    genes = f" with {min_genes} genes or more" if min_genes else ""
    kind = "batch" if len(without) == 1 else "batches"
    return f"all cells{genes}" + (f", without {kind} {', '.join(without)}" if without else "")


def described(
    backend: str, most: int, cells: Cells | None, how: str = "", taken: str = "all cells"
) -> str:
    """The protocol in words, for tables; `taken` says which cells are embedded."""
    if cells is not None and cells.n_obs > most:
        among = "" if taken == "all cells" else f" from {taken}"
        taken = f"{most:,} of {cells.n_obs:,} cells drawn by the seed{among}"
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
