"""Whatever a model is asked to give back, answered by an average: the floor of reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from trainables.metrics.reconstruction import average_places, mean_bins
from trainables.protocols import Card, Cells, Context, Reconstruction, Reconstructor


@dataclass(frozen=True)
class Average:
    """Asked exactly what the wrapped model is asked, in the same bins or ranks of the same genes.

    Bins: each gene's mean over the cells where it is a token (`over="gene"`), or the one mean of
    all bins of all genes that Kedzierska et al.'s code takes (`over="all"`). Ranks: each gene's
    mean rank, their average rank. An average of the very cells that are asked, as theirs is.
    """

    embedder: Reconstructor
    over: str = "gene"

    card: ClassVar = Card(
        summary="the average of whatever the wrapped model is asked to give back",
        citation="Kedzierska et al. 2023, doi:10.1101/2023.10.16.561085",
        control="floor",
    )

    def __post_init__(self) -> None:
        if self.over not in ("gene", "all"):
            raise ValueError(f"an average is over 'gene' or 'all', not {self.over!r}")

    def reconstruct(self, cells: Cells, ctx: Context) -> Reconstruction:
        """The wrapped model's question, and averages as the answer."""
        found = self.embedder.reconstruct(cells, ctx)
        ctx.saw("average fit", cells.obs_names)
        if found.kind == "ranks":
            return replace(found, given=average_places(found.asked))
        return replace(found, given=mean_bins(found.asked, per_gene=self.over == "gene"))


MODEL = Average
