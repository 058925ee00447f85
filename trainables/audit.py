"""Which cells a fitting step saw, and an end to any trial in which it saw a test cell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from trainables.protocols import Annotator, Cells, Context, Predictions


class Leak(RuntimeError):
    """A fitting step saw cells that its result is measured on."""


def shown_labels(model: Any) -> bool:
    """Whether a task shows this model the labels that it is scored on: ceilings alone, which say on
    their card that they are no competitors. No wrapper passes labels on."""
    return getattr(model, "card", None) is not None and model.card.control == "ceiling"


def audited(ctx: Context, test: Iterable[str]) -> Context:
    """A context whose `saw` raises Leak when any of the `test` cells is among those seen."""
    reported = frozenset(test)

    def saw(step: str, names: Iterable[str]) -> None:
        seen = list(names)
        ctx.saw(step, seen)
        leaked = len(reported.intersection(seen))
        if leaked:
            raise Leak(f"{step} saw {leaked} of the {len(reported)} test cells")

    return replace(ctx, saw=saw)


def footprint(step: str, names: Iterable[str]) -> dict[str, str | int]:
    """What the record keeps of a step: how many cells, and the hash of their sorted names."""
    seen = sorted(names)
    digest = hashlib.sha256("\n".join(seen).encode()).hexdigest()
    return {"step": step, "cells": len(seen), "sha256": digest}


def replayed(
    model: Annotator, train: Cells, valid: Cells, test: Cells, said: Predictions, ctx: Context
) -> None:
    """Raise Leak when a test cell's label depends on which other test cells there are.

    Fits again beside only every second test cell. This also catches a model that fits on test
    cells without telling, at the price of a second fit.
    """
    every_second = np.arange(0, test.n_obs, 2)
    alone = model.fit_predict(train, valid, test[every_second].copy(), ctx)  # type: ignore[index]
    moved = int((np.asarray(alone.test) != np.asarray(said.test)[every_second]).sum())
    if moved:
        raise Leak(
            f"{moved} of {len(every_second)} test cells are named differently when the other test"
            " cells are taken away, so the model learns from test cells"
        )
