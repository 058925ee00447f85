"""What decides what a model says of cells: its parameters and versions, and the cells' content."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any

from trainables.cells import recipe
from trainables.protocols import Cells

NOT_IN_ID = {"in_id": False}
"""Metadata of a field that decides no result, such as the place of an interpreter."""
LATER = {"in_id": "unless default"}
"""Metadata of a field that was added later: its default changes nothing, and no id."""


def fields(cls: Any) -> list[str]:
    """The names of a dataclass's fields."""
    return [field.name for field in dataclasses.fields(cls)]


def spelled_out(thing: Any) -> dict[str, Any]:
    """Every parameter with its value, defaults too, nested ones by dotted name.

    A thing's own `identity()` says what stands for a parameter that is only a name, such as the
    sha256 of the weights in a folder.
    """
    flat: dict[str, Any] = {}
    known = thing.identity() if hasattr(thing, "identity") else {}
    for field in dataclasses.fields(thing):
        in_id = field.metadata.get("in_id", True)
        usual = in_id == LATER["in_id"] and getattr(thing, field.name) == field.default
        if not in_id or usual:
            continue
        name = field.name
        value = known.get(name, getattr(thing, name))
        if dataclasses.is_dataclass(value):
            flat |= {f"{name}.{key}": deep for key, deep in spelled_out(value).items()}
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def of_model(model: Any) -> dict[str, Any]:
    """Its class, version and parameters, and those of what it wraps."""
    kinds = []
    inner = model
    while inner is not None:
        kinds.append(f"{type(inner).__module__}.{type(inner).__qualname__} {inner.card.version}")
        inner = getattr(inner, "embedder", None)
    return {"kinds": kinds, "params": spelled_out(model)}


def of_cells(cells: Cells) -> dict[str, Any]:
    """Which rows and genes of which prepared data set these are, what is marked, which batches.

    No expression is read: the data set's sha256 and the names of rows and genes stand for it.
    Raises ValueError where the cells do not say which data set they are of.
    """
    about = cells.uns.get("gauntlet", {})
    if not about.get("sha256"):
        raise ValueError(
            "these cells do not say which data set they are of (uns['gauntlet']['sha256']), so"
            " nothing made of them can be remembered; open them with cells.open_cells"
        )
    columns = {key: cells.obs[key].astype(str) for key in ("split", "batch") if key in cells.obs}
    return {
        "data set": recipe(about["sha256"]),
        "cells": words_sha256(cells.obs_names),
        "genes": words_sha256(cells.var_names),
        **{key: words_sha256(words) for key, words in columns.items()},
    }


def words_sha256(words: Iterable[str]) -> str:
    """sha256 of words in their order."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
