"""Do batches mix in an embedding, without cell types mixing too?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from trainables import zero_shot
from trainables.cells import words
from trainables.identity import LATER
from trainables.metrics.space import (
    BACKENDS,
    Space,
    certified,
    check_installed,
    integration_scores,
    interval,
    mixing_of,
)
from trainables.protocols import Cells, Context, Direction, Drawn, Embedder, Metrics
from trainables.seeds import stream


@dataclass(frozen=True)
class Integration:
    """Batch scores (Kedzierska et al. 2023, figure 5): 1 - |batch silhouette| within each type."""

    backend: str = "scib"
    """Whose definitions: "scib" (1.0.4) or "scib-metrics" (the package, an extra)."""
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
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "how well an embedding mixes batches, without labels"
    headline: ClassVar[str] = "asw_label_batch"
    metrics: ClassVar[dict[str, Direction]] = {
        "asw_label_batch": "higher",
        "asw_batch": "lower",
        "bras": "higher",
        "graph_connectivity": "higher",
        "kbet": "higher",
        "ilisi": "higher",
        "clisi": "higher",
        "pcr": "lower",
        "pcr_comparison": "higher",
    }
    """`pcr` and `asw_batch` are what batches still explain of an embedding."""

    def __post_init__(self) -> None:
        zero_shot.check_choice("backend", self.backend, BACKENDS)

    def described(self, cells: Cells | None = None) -> str:
        """Which cells, and whose definitions."""
        how = f"{self.n_components} principal components" if self.n_components else ""
        cells = cells if cells is None else self.chosen(cells)
        taken = zero_shot.all_cells(self.min_genes, self.without)
        return zero_shot.described(self.backend, self.max_cells, cells, how, taken)

    by_batch: ClassVar[bool] = False

    def drawn(self, cells: Cells, seed: int) -> Drawn:
        """Nothing is held out: all cells are embedded and scored."""
        return Drawn("whole")

    def chosen(self, cells: Cells) -> Cells:
        """The cells that are embedded and scored; see `zero_shot.chosen`."""
        return zero_shot.chosen(cells, self.min_genes, self.without)

    def check(self, cells: Cells) -> None:
        """Raise ValueError when there are no batches to mix, or no types to mix them in."""
        check_installed(self.backend)
        cells = self.chosen(cells)
        zero_shot.check_labels("integration", cells)
        known = cells.obs["batch"].nunique() if "batch" in cells.obs else 0
        if known < 2:
            raise ValueError(
                "integration needs at least two batches and found"
                f" {known or 'none: name --batch-key'}"
            )
        if not can_be_told(words(cells, "cell_type"), zero_shot.batches(cells)):
            raise ValueError(
                "integration needs a cell type that occurs in two batches, with more cells than"
                " batches; here each type has a batch of its own"
            )

    def __call__(self, model: Embedder, cells: Cells, ctx: Context) -> Metrics:
        """asw_label_batch, asw_batch, graph_connectivity, pcr, pcr_comparison, ilisi, clisi."""
        cells = self.chosen(cells)
        scored = zero_shot.sample(cells.n_obs, self.max_cells, ctx)
        space = zero_shot.embedded(model, cells, ctx, scored, self.n_components)
        found = integration_scores(space, self.backend, cells.X[scored])
        ctx.save("certificate.csv", certified(found, self.backend))
        if self.umap:
            zero_shot.save_umap(space, cells.obs_names[scored], ctx)
        return {
            **found,
            **(self.intervals(space, ctx) if len(scored) < cells.n_obs else {}),
            "n_eval": len(scored),
            "n_batches": len(np.unique(space.batches)),
        }

    def intervals(self, space: Space, ctx: Context) -> Metrics:
        """What having drawn cells leaves open; scib-metrics gives no scores of cells to draw."""
        if self.backend != "scib":
            return {}
        rng = stream(ctx.seed, "bootstrap")
        return interval(mixing_of(space), len(space.labels), rng)


def can_be_told(labels: np.ndarray, batches: np.ndarray) -> bool:
    """Whether some type lies in more than one batch and has more cells than batches.

    >>> can_be_told(np.array(["T", "T", "B"]), np.array(["1", "2", "1"]))
    False
    """
    for label in np.unique(labels):
        inside = batches[labels == label]
        if 1 < len(np.unique(inside)) < len(inside):
            return True
    return False


TASK = Integration
