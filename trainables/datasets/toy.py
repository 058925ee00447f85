"""A small generated data set: cell types with marker genes, batches with shifts, raw counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.seeds import stream
from trainables.store import digest


@dataclass(frozen=True)
class Toy:
    """Negative-binomial-like counts whose truth is known; for tests and first steps.

    Types are of unequal size, each with its own marker genes; batches shift all genes a little.
    """

    n_cells: int = 240
    n_genes: int = 120
    n_types: int = 4
    n_batches: int = 2
    seed: int = 0
    name: str = "toy"
    summary: str = "240 generated cells x 120 genes, 4 cell types, 2 batches: for tests"

    @property
    def sha256(self) -> str:
        """The hash of the recipe: the same recipe makes the same cells."""
        return digest({"generator": "toy", "version": 1, **asdict(self)})

    def read(self) -> ad.AnnData:
        """Cells x genes of Poisson counts around type, batch and depth effects."""
        rng = stream(self.seed, "toy cells")
        sizes = np.arange(self.n_types, 0, -1) + 1.0
        types = np.sort(rng.choice(self.n_types, self.n_cells, p=sizes / sizes.sum()))
        types[: self.n_types * 4] = np.tile(np.arange(self.n_types), 4)  # no type is too small
        batches = rng.integers(self.n_batches, size=self.n_cells)
        base = rng.gamma(0.6, 1.0, self.n_genes)
        markers = rng.gamma(0.4, 2.0, (self.n_types, self.n_genes)) + 0.3
        shifts = rng.lognormal(0, 0.2, (self.n_batches, self.n_genes))
        depth = rng.lognormal(0, 0.3, (self.n_cells, 1))
        counts = rng.poisson(depth * base * markers[types] * shifts[batches])
        obs = pd.DataFrame(
            {
                "cell_type": pd.Categorical([f"type {i}" for i in types]),
                "batch": pd.Categorical([f"batch {i}" for i in batches]),
            },
            index=[f"cell{i}" for i in range(self.n_cells)],
        )
        var = pd.DataFrame(index=[f"GENE{i}" for i in range(self.n_genes)])
        return ad.AnnData(X=sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)


DATASET = Toy()
