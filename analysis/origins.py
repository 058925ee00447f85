"""Weights of unequal origin: said beside a comparison of the arms that start from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

Origins = Mapping[str, Mapping[str, Any]]
"""Origin of each arm's weights, as a manifest has them (see `orchestrator.fidelity.Origin`)."""


def noted(rows: pd.DataFrame, origins: Origins | None) -> pd.DataFrame:
    """The rows of comparisons; a note names the origins of weights where they are unequal."""
    if rows.empty or not origins:
        return rows
    pairs = zip(rows["a"], rows["b"], rows["note"].fillna(""), strict=True)
    notes = ["; ".join(filter(None, (note, unequal(a, b, origins)))) for a, b, note in pairs]
    return rows.assign(note=notes)


def unequal(a: str, b: str, origins: Origins) -> str:
    """How the pretrainings of two arms differ in origin, in words; "" where they do not.

    An arm without weights, or with fresh ones, has no pretraining to differ in. Published weights
    of two names are a question of their own, and no note.

    >>> here = {"made": "here", "dataset": "panglao", "words": "pretraining here (panglao)"}
    >>> other = {"made": "published", "words": "published weights (panglao)"}
    >>> unequal("x", "y", {"x": here, "y": other}).split(": ", 1)[1]
    'x from pretraining here (panglao), y from published weights (panglao)'
    """
    first, second = origins.get(a), origins.get(b)
    if first is None or second is None or "none" in (first["made"], second["made"]):
        return ""
    alike = first["made"] == second["made"]
    if alike and (first["made"] != "here" or conditions(first) == conditions(second)):
        return ""
    return f"weights of unequal origin: {a} from {first['words']}, {b} from {second['words']}"


def conditions(origin: Mapping[str, Any]) -> tuple[Any, ...]:
    """Data set and epochs, which two pretrainings must share for a fair comparison."""
    return origin.get("dataset"), (origin.get("params") or {}).get("epochs")
