"""Trials that share an embedding: what they have to learn from it is learnt in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainables import catalog, heads
from trainables.identity import of_model
from trainables.protocols import Context
from trainables.store import Store, canonical
from trainables.trial import Trial


def solve_ahead(trials: Iterable[Trial], store: Store) -> None:
    """Have solved what these trials will ask for, where they differ in no more than seed, share of
    labels or the head's own parameters; each then runs by itself, as it would alone, only sooner.

    Models that can do so have a method `solve_ahead` (see `models.probe`). Whatever is wrong with
    a trial is left for the trial to meet, and what an earlier call left unused is forgotten.
    """
    heads.AHEAD.clear()
    for alike in families(trials).values():
        if len(alike) > 1:
            with suppress(MemoryError, ValueError, LookupError):
                one_family(alike, store)


def families(trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    """Trials by data set and embedder, of models that solve ahead."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        with suppress(LookupError, ValueError):
            head, task = trial.model.rpartition("+")[2], catalog.find("tasks", trial.task)
            if hasattr(catalog.find("models", head), "solve_ahead") and hasattr(task, "split"):
                embedder: Any = catalog.model(trial.model, trial.model_params).embedder
                what = {"cells": trial.dataset_sha256, "embedder": of_model(embedder)}
                found.setdefault(canonical(what), []).append(trial)
    return found


def one_family(trials: Sequence[Trial], store: Store) -> None:
    """Solve for trials of one family."""
    first = trials[0]
    cells, taught = first.cells(store), []
    for trial in trials:
        with suppress(ValueError):
            model = catalog.model(trial.model, trial.model_params)
            split = trial.the_task().split(cells, trial.seed, getattr(model, "draws", "logreg"))
            taught.append((model, split.train))
    cpus = catalog.card(first.model).cpus
    ctx = Context(seed=first.seed, scratch=Path(), store=store, cpus=cpus)
    catalog.model(first.model, first.model_params).solve_ahead(cells, taught, ctx)
