"""Do cells of one type lie together in an embedding that never saw a label?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.cells import rows
from trainables.metrics import clustering
from trainables.protocols import Cells, Context, Embedder, Metrics


@dataclass(frozen=True)
class Clustering:
    """ASW, NMI, ARI and their mean AvgBIO (Kedzierska et al. 2023, section 4.4)."""

    needs: ClassVar[type] = Embedder
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "how well an embedding keeps cell types together, without labels"
    headline: ClassVar[str] = "avg_bio"

    def described(self, cells: Cells | None = None) -> str:
        """How cells were split, in words: they were not."""
        return "zero-shot, all cells"

    def check(self, cells: Cells) -> None:
        """Raise ValueError when there are no cell types to compare clusters with."""
        if "cell_type" not in cells.obs:
            raise ValueError("clustering needs cell types to score against: name --label-key")
        if cells.obs["cell_type"].nunique() < 2:
            raise ValueError("clustering needs at least two cell types to score against")

    def __call__(self, model: Embedder, cells: Cells, ctx: Context) -> Metrics:
        """asw_label, nmi, ari, avg_bio; clusters by label-guided Louvain, as scib 1.0.4's."""
        everyone = np.arange(cells.n_obs)
        embedding = model.embed(rows(cells, everyone, labels=False), ctx)
        labels = cells.obs["cell_type"].astype(str).to_numpy()
        clusters = clustering.best_louvain(embedding, labels)
        found = {
            "asw_label": clustering.asw_label(embedding, labels),
            "nmi": clustering.nmi(labels, clusters),
            "ari": clustering.ari(labels, clusters),
        }
        return {
            **found,
            "avg_bio": float(np.mean(list(found.values()))),
            "n_eval": cells.n_obs,
            "n_classes": len(np.unique(labels)),
        }


TASK = Clustering
