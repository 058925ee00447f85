"""Any embedder that remembers: one pass serves clustering, integration and every picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from trainables import identity
from trainables.arithmetic import arithmetic
from trainables.cells import open_cells, rows
from trainables.cells import recipe as cells_recipe
from trainables.protocols import Card, Cells, Context, Embedder, Matrix, frozen
from trainables.store import Store


@dataclass(frozen=True)
class Cached:
    """Asks the store, and on a miss the embedder.

    What is remembered goes by all that decides it: the embedder's class, version and parameters
    (weights by their sha256), the cells and genes in their order, the rows marked to be fitted on,
    the batches, the seed, and the device, precision and attention kernel. Which cells a fitting
    step saw is remembered too, and told again whenever its embedding is used. Epochs are told the
    first time only.

    Of a frozen embedder (see `protocols.frozen`) all cells of the data set are embedded once, for
    all seeds, label shares and tasks.
    """

    embedder: Embedder

    card: ClassVar = Card(
        summary="an embedding remembered, so that tasks share one pass", version=2
    )

    @property
    def frozen(self) -> bool:
        """As what it wraps."""
        return frozen(self.embedder)

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """What the embedder gives, from the store if any trial has asked before."""
        found = self.of_each(cells, ctx)
        return self.of_all(cells, ctx) if found is None else found

    def of_each(self, cells: Cells, ctx: Context) -> Matrix | None:
        """The same where a cell's coordinates are its own, from those of the whole data set.

        None where the embedder is not frozen, or where these are not cells of a data set in the
        store.
        """
        if not self.frozen or (whole := prepared(cells, ctx.store)) is None:
            return None

        def compute(draft: Path) -> None:
            everyone = rows(whole, np.arange(whole.n_obs), labels=False)
            np.save(draft / "embedding.npy", self.embedder.embed(everyone, replace(ctx, seed=0)))

        recipe = {
            "artifact": "embedding of each cell",
            "model": identity.of_model(self.embedder),
            "data set": cells_recipe(whole.uns["gauntlet"]["sha256"]),
            **asdict(arithmetic(self.embedder, ctx.device)),
        }
        embedding = np.load(ctx.store.get(recipe, compute) / "embedding.npy", mmap_mode="r")
        return np.asarray(embedding[whole.obs_names.get_indexer(cells.obs_names)])

    def of_all(self, cells: Cells, ctx: Context) -> Matrix:
        """The same where it may depend on which cells there are."""
        told: list[tuple[str, np.ndarray]] = []

        def make(draft: Path) -> None:
            def saw(step: str, names: Iterable[str]) -> None:
                seen = list(names)
                ctx.saw(step, seen)
                told.append((step, cells.obs_names.get_indexer(pd.Index(seen))))

            np.save(draft / "embedding.npy", self.embedder.embed(cells, replace(ctx, saw=saw)))
            np.save(draft / "steps.npy", np.array([step for step, _ in told], dtype=str))
            rows: Any = {str(i): which for i, (_, which) in enumerate(told)}
            np.savez(draft / "saw.npz", **rows)

        home = ctx.store.get(self.recipe(cells, ctx.seed, ctx.device), make)
        if not told:  # nobody was asked, or nobody fitted
            with np.load(home / "saw.npz") as rows:
                for i, step in enumerate(np.load(home / "steps.npy")):
                    ctx.saw(str(step), cells.obs_names[rows[str(i)]])
        return np.load(home / "embedding.npy")

    def recipe(self, cells: Cells, seed: int, device: str) -> dict[str, Any]:
        """All that decides the embedding; a GPU computes in another precision than a CPU."""
        return {
            "artifact": "embedding",
            "model": identity.of_model(self.embedder),
            "cells": identity.of_cells(cells),
            "seed": seed,
            **asdict(arithmetic(self.embedder, device)),
        }


def prepared(cells: Cells, store: Store) -> Cells | None:
    """The whole data set that these are cells and genes of; None where it is not in the store."""
    sha256 = cells.uns.get("gauntlet", {}).get("sha256")
    home = store.find(cells_recipe(sha256)) if sha256 else None
    if home is None:
        return None
    whole = open_cells(home)
    same = whole.var_names.equals(cells.var_names)
    return whole if same and cells.obs_names.isin(whole.obs_names).all() else None


MODEL = Cached
