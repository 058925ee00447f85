"""Do cells of one type lie together in an embedding that never saw a label?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from trainables import zero_shot
from trainables.identity import LATER
from trainables.metrics.clustering import ALGORITHMS
from trainables.metrics.space import (
    BACKENDS,
    OWN_ALGORITHM,
    Space,
    certified,
    check_installed,
    clustering_of,
    clustering_scores,
    interval,
    scib_partitions,
)
from trainables.protocols import Cells, Context, Direction, Drawn, Embedder, Metrics
from trainables.seeds import stream


@dataclass(frozen=True)
class Clustering:
    """ASW, NMI, ARI and their mean AvgBIO (Kedzierska et al. 2023, section 4.4)."""

    backend: str = "scib"
    """Whose definitions: "scib" (1.0.4) or "scib-metrics" (the package, an extra)."""
    resolution: str = "guided"
    """"guided" keeps the resolution with the best NMI, which looks at the labels, as the paper
    does, and reports `..._blind` beside it; "blind" is resolution 1 and nothing else."""
    algorithm: str = "auto"
    """"louvain", "leiden", or the back-end's own."""
    max_cells: int = 100_000
    """Beyond that many cells a seeded draw of them is scored, with intervals."""
    umap: bool = False
    """Also keep UMAP coordinates."""
    min_genes: int = field(default=0, metadata=LATER)
    """Cells with fewer genes are left out, for all models alike; Kedzierska et al. take 10."""
    without: tuple[str, ...] = field(default=(), metadata=LATER)
    """Batches whose cells are left out."""
    n_components: int = field(default=0, metadata=LATER)
    """Score this many principal components of an embedding; 0 scores it as it is."""

    needs: ClassVar[type] = Embedder
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "how well an embedding keeps cell types together, without labels"
    headline: ClassVar[str] = "avg_bio"
    metrics: ClassVar[dict[str, Direction]] = dict.fromkeys(
        ("asw_label", "nmi", "ari", "avg_bio", "nmi_blind", "ari_blind", "avg_bio_blind"), "higher"
    )

    def __post_init__(self) -> None:
        zero_shot.check_choice("backend", self.backend, BACKENDS)
        zero_shot.check_choice("resolution", self.resolution, ("guided", "blind"))
        zero_shot.check_choice("algorithm", self.algorithm, ("auto", *ALGORITHMS))
        if self.backend == "scib-metrics" and self.clusters_by() != "leiden":
            raise ValueError("backend 'scib-metrics' clusters by Leiden alone: algorithm='leiden'")

    def described(self, cells: Cells | None = None) -> str:
        """Which cells, whose definitions, and how clusters were chosen."""
        how = f"{self.resolution} {self.clusters_by()}"
        if self.n_components:
            how += f", {self.n_components} principal components"
        cells = cells if cells is None else self.chosen(cells)
        taken = zero_shot.all_cells(self.min_genes, self.without)
        return zero_shot.described(self.backend, self.max_cells, cells, how, taken)

    def clusters_by(self) -> str:
        """The algorithm's name."""
        return OWN_ALGORITHM[self.backend] if self.algorithm == "auto" else self.algorithm

    by_batch: ClassVar[bool] = False

    def drawn(self, cells: Cells, seed: int) -> Drawn:
        """Nothing is held out: all cells are embedded and scored."""
        return Drawn("whole")

    def chosen(self, cells: Cells) -> Cells:
        """The cells that are embedded and scored; see `zero_shot.chosen`."""
        return zero_shot.chosen(cells, self.min_genes, self.without)

    def check(self, cells: Cells) -> None:
        """Raise ValueError when there are no cell types to compare clusters with."""
        check_installed(self.backend)
        cells = self.chosen(cells)
        zero_shot.check_labels("clustering", cells)

    def __call__(self, model: Embedder, cells: Cells, ctx: Context) -> Metrics:
        """asw_label, nmi, ari, avg_bio, and the last three label-blind when guided."""
        cells = self.chosen(cells)
        scored = zero_shot.sample(cells.n_obs, self.max_cells, ctx)
        space = zero_shot.embedded(model, cells, ctx, scored, self.n_components)
        found = self.scores(space)
        ctx.save("certificate.csv", certified(found, self.backend))
        if self.umap:
            zero_shot.save_umap(space, cells.obs_names[scored], ctx)
        return {
            **found,
            **(self.intervals(space, ctx) if len(scored) < cells.n_obs else {}),
            "n_eval": len(scored),
            "n_classes": len(np.unique(space.labels)),
        }

    def scores(self, space: Space) -> Metrics:
        """The metrics of one embedding."""
        guided = self.resolution == "guided"
        return clustering_scores(space, self.backend, self.algorithm, guided)

    def intervals(self, space: Space, ctx: Context) -> Metrics:
        """What having drawn cells leaves open; scib-metrics gives no scores of cells to draw."""
        if self.backend != "scib":
            return {}
        parts = scib_partitions(space, self.clusters_by(), self.resolution == "guided")
        rng = stream(ctx.seed, "bootstrap")
        return interval(clustering_of(space, *parts), len(space.labels), rng)


TASK = Clustering
