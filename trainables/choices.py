"""Hyperparameters that are one word of a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check_choices(name: str, model: Any, choices: Mapping[str, Sequence[str]]) -> None:
    """Raise ValueError for the first of a model's fields that is none of its words."""
    for field, known in choices.items():
        if (given := getattr(model, field)) not in known:
            raise ValueError(f"{name} has no {field} {given!r}; it has: {', '.join(known)}")
