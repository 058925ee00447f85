"""File name -> the MODEL, TASK or DATASET in it; other packages add theirs by entry point."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from trainables.identity import fields as fields
from trainables.identity import spelled_out as spelled_out
from trainables.protocols import Card, Dataset, Task

Kind = Literal["models", "tasks", "datasets"]


@cache
def plugins(kind: Kind) -> dict[str, EntryPoint]:
    """What other installed packages offer under the entry point group `gauntlet.<kind>`."""
    return {point.name: point for point in entry_points(group=f"gauntlet.{kind}")}


@cache
def own(kind: Kind) -> frozenset[str]:
    """The files of a kind in here; looked for once, as every id asks for names."""
    package = importlib.import_module(f"trainables.{kind}")
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__))


def names(kind: Kind) -> list[str]:
    """Every known name of a kind, without importing any of them."""
    return sorted({*own(kind), *plugins(kind)})


def find(kind: Kind, name: str) -> Any:
    """The MODEL class, TASK class or DATASET of that name.

    Raises LookupError naming the nearest known names.
    """
    if name in plugins(kind):
        return plugins(kind)[name].load()
    if name not in own(kind):
        raise LookupError(unknown(kind.removesuffix("s"), name, names(kind)))
    module = importlib.import_module(f"trainables.{kind}.{name}")
    return getattr(module, kind.removesuffix("s").upper())


def unknown(what: str, name: str, known: list[str]) -> str:
    """The sentence for a name nobody knows.

    >>> unknown("model", "logref", ["logreg", "pca"])
    "no model 'logref'; did you mean 'logreg'? There are: logreg, pca"
    """
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "there are"
    return f"no {what} {name!r}; {hint}: {', '.join(known) or 'none'}"


def model(name: str, params: Mapping[str, Any] | None = None) -> Any:
    """A model built from its name and hyperparameters.

    "pca+probe" is a wrapper around an embedder, read from left to right; the embedder's own
    hyperparameters are spelled "embedder.n_components".
    """
    inner, _, outer = name.rpartition("+")
    cls = find("models", outer)
    mine, deeper = {}, {}
    for key, value in (params or {}).items():
        head, _, rest = key.partition(".")
        target = deeper if head == "embedder" and rest else mine
        target[rest or key] = value
    if inner:
        if "embedder" not in fields(cls):
            raise LookupError(f"{outer!r} wraps nothing, so {name!r} is no model")
        mine["embedder"] = model(inner, deeper)
    elif "embedder" in fields(cls):
        raise LookupError(f"{outer!r} needs an embedder before it, such as 'pca+{outer}'")
    return build(cls, outer, mine)


def task(name: str, params: Mapping[str, Any] | None = None) -> Task:
    """A task built from its name and parameters."""
    return build(find("tasks", name), name, params or {})


def dataset(name: str) -> Dataset:
    """The data set of that name."""
    return find("datasets", name)


def build(cls: type, name: str, params: Mapping[str, Any]) -> Any:
    """A dataclass from its parameters; a name it lacks is refused in one sentence."""
    for key in params:
        if key not in fields(cls):
            known = ", ".join(fields(cls)) or "none"
            raise LookupError(f"{name} has no parameter {key!r}; it has: {known}")
    return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in params.items()})


def parts(model: Any) -> list[Any]:
    """A model and what it wraps, the outermost first."""
    inner = getattr(model, "embedder", None)
    return [model, *(parts(inner) if inner is not None else [])]


def version(name: str) -> str:
    """The versions of a model and of what it wraps, such as "1" or "1+1"."""
    return "+".join(str(find("models", part).card.version) for part in name.split("+"))


def card(name: str) -> Card:
    """The card of a model; a wrapper's needs are the larger of its own and its embedder's."""
    cards: list[Card] = [find("models", part).card for part in name.split("+")]
    wants = "counts" if any(c.wants == "counts" for c in cards) else "lognorm"
    largest = {need: max(getattr(c, need) for c in cards) for need in ("cpus", "gpus", "memory_gb")}
    parts = any(c.parts for c in cards)
    packages = tuple(dict.fromkeys(package for c in cards for package in c.packages))
    return dataclasses.replace(cards[-1], wants=wants, parts=parts, packages=packages, **largest)
