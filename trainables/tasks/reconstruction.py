"""Does a model give expression back better than an average would?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from trainables import zero_shot
from trainables.cells import rows
from trainables.identity import LATER
from trainables.metrics.reconstruction import (
    bin_errors,
    by_cell,
    by_gene,
    mean_bins,
    rank_correlations,
)
from trainables.protocols import (
    Cells,
    Context,
    Direction,
    Drawn,
    Metrics,
    Reconstruction,
    Reconstructor,
)

ERRORS = ("mse", "mse_genes", "mse_cells", "mae")
CORRELATIONS = ("rank_union", "rank_all_tokens", "rank_percent_rank")


@dataclass(frozen=True)
class GivingBack:
    """Figures 7 and 8 of Kedzierska et al. 2023: bins by their error, ranks by their correlation.

    Nothing is masked, as in the paper: a model sees what it is asked for. Each model is asked in
    its own bins or ranks, so that an error of one says nothing beside an error of another; what
    can be compared is `skill`, 0 where an average of the same tokens is as good and 1 where all
    comes back. `NAME+average` is that average as a model of its own.
    """

    min_genes: int = field(default=0, metadata=LATER)
    """Cells with fewer genes are left out, for all models alike; Kedzierska et al. take 10."""
    without: tuple[str, ...] = field(default=(), metadata=LATER)
    """Batches whose cells are left out."""

    needs: ClassVar[type] = Reconstructor
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "how well a model gives back the expression that it sees"
    headline: ClassVar[str] = "skill"
    metrics: ClassVar[dict[str, Direction]] = {
        "skill": "higher",
        **{f"{who}{name}": "lower" for who in ("", "average/", "constant/") for name in ERRORS},
        **{
            f"{who}{name}{end}": "higher"
            for who in ("", "average/")
            for name in CORRELATIONS
            for end in ("", "/median")
        },
    }

    def described(self, cells: Cells | None = None) -> str:
        """Which cells, in words."""
        taken = zero_shot.all_cells(self.min_genes, self.without)
        return f"zero-shot, {taken}, nothing masked"

    by_batch: ClassVar[bool] = False

    def drawn(self, cells: Cells, seed: int) -> Drawn:
        """Nothing is held out: all cells are given back and scored."""
        return Drawn("whole")

    def check(self, cells: Cells) -> None:
        """Raise ValueError where no cell is left to give back."""
        self.chosen(cells)

    def chosen(self, cells: Cells) -> Cells:
        """The cells that are given back and scored; see `zero_shot.chosen`."""
        return zero_shot.chosen(cells, self.min_genes, self.without)

    def __call__(self, model: Reconstructor, cells: Cells, ctx: Context) -> Metrics:
        """skill, and the errors of bins or the correlations of ranks, beside the average's.

        Bins: mse, mse_genes, mse_cells, mae; `average/...` by each gene's own mean, `constant/...`
        by the paper's one number for everything; saves `per_gene.csv`.
        Ranks: rank_union, rank_all_tokens, rank_percent_rank (see `rank_correlations`), the mean
        over cells, and `.../median`; `average/...` likewise. Both save `per_cell.parquet`.
        """
        cells = self.chosen(cells)
        everyone = rows(cells, np.arange(cells.n_obs), labels=False)
        found = model.reconstruct(everyone, ctx)
        measure = {"bins": of_bins, "ranks": of_ranks}[found.kind]
        return measure(found, everyone.obs_names, ctx) | {"n_eval": cells.n_obs}


def of_bins(found: Reconstruction, names: pd.Index, ctx: Context) -> Metrics:
    """Errors of what was given, of each gene's mean, and of the one mean."""
    asked = found.asked
    answers = {
        "": found.given,
        "average/": mean_bins(asked, per_gene=True),
        "constant/": mean_bins(asked, per_gene=False),
    }
    scores = {
        f"{who}{name}": value
        for who, given in answers.items()
        for name, value in bin_errors(asked, given).items()
    }
    squares = {who: (given.data - asked.data) ** 2 for who, given in answers.items()}
    genes = by_gene(asked, squares[""]).rename(columns={"mean": "mse"})
    genes["mse_average"] = by_gene(asked, squares["average/"])["mean"]
    genes.insert(0, "gene", found.genes[genes.pop("column")])
    ctx.save("per_gene.csv", genes)
    ctx.save("per_cell.parquet", pd.DataFrame({"cell": names, "mse": by_cell(asked, squares[""])}))
    return {"skill": skill(scores["mse"], scores["average/mse"], perfect=0.0)} | scores


def of_ranks(found: Reconstruction, names: pd.Index, ctx: Context) -> Metrics:
    """Correlations of what was given, and of the mean rank in its place."""
    table = rank_correlations(found.asked, found.given)
    if table["union"].isna().all():
        raise ValueError("no cell has two genes that the model knows, so no ranks can correlate")
    ctx.save("per_cell.parquet", table.assign(cell=np.asarray(names)))
    scores = {}
    for name in ("union", "all_tokens", "percent_rank"):
        for who, column in {"": name, "average/": f"{name}_average"}.items():
            scores[f"{who}rank_{name}"] = float(table[column].mean())
            scores[f"{who}rank_{name}/median"] = float(table[column].median())
    best = skill(scores["rank_union"], scores["average/rank_union"], perfect=1.0)
    return {"skill": best} | scores


def skill(found: float, average: float, *, perfect: float) -> float:
    """How far from the average to perfection; below 0 where the average is better.

    >>> skill(5.0, 20.0, perfect=0.0), skill(0.75, 0.5, perfect=1.0)
    (0.75, 0.5)
    """
    return (found - average) / (perfect - average) if perfect != average else 0.0


TASK = GivingBack
