"""Any embedder that remembers: one pass serves clustering, integration and every picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from trainables import identity
from trainables.protocols import Card, Cells, Context, Embedder, Matrix


@dataclass(frozen=True)
class Cached:
    """Asks the store, and on a miss the embedder.

    What is remembered goes by all that decides it: the embedder's class, version and parameters
    (weights by their sha256), the cells and genes in their order, the rows marked to be fitted on,
    the batches, and the seed. Which cells a fitting step saw is remembered too, and told again
    whenever its embedding is used. Epochs are told the first time only.
    """

    embedder: Embedder

    card: ClassVar = Card(summary="an embedding remembered, so that tasks share one pass")

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """What the embedder gives, from the store if any trial has asked before."""
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

        home = ctx.store.get(self.recipe(cells, ctx.seed), make)
        if not told:  # nobody was asked, or nobody fitted
            with np.load(home / "saw.npz") as rows:
                for i, step in enumerate(np.load(home / "steps.npy")):
                    ctx.saw(str(step), cells.obs_names[rows[str(i)]])
        return np.load(home / "embedding.npy")

    def recipe(self, cells: Cells, seed: int) -> dict[str, Any]:
        """All that decides the embedding."""
        return {
            "artifact": "embedding",
            "model": identity.of_model(self.embedder),
            "cells": identity.of_cells(cells),
            "seed": seed,
        }


MODEL = Cached
