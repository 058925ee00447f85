"""Arms, and the configurations of one: grids crossed, and what is drawn at random."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


def model_of(arm: str) -> str:
    """The catalog's name of an arm's model.

    >>> model_of("scbert/no_gene2vec"), model_of("pca+probe")
    ('scbert', 'pca+probe')
    """
    return arm.partition("/")[0]


@runtime_checkable
class Sampled(Protocol):
    """A distribution of `search_spaces.spaces`."""

    def sample(self, rng: np.random.Generator) -> Any: ...
    def to_ray(self) -> Any: ...


@runtime_checkable
class Tried(Protocol):
    """A grid of `search_spaces.spaces`."""

    values: tuple[Any, ...]


def expanded(model: str, space: Mapping[str, Any], draws: int) -> list[dict[str, Any]]:
    """Every configuration of a space: the grids crossed, once a draw where anything is drawn."""
    from trainables.seeds import stream

    if not any(isinstance(value, Sampled) for value in space.values()):
        draws = 1
    configurations = []
    for draw in range(draws):
        # named by model and parameter, so that adding one parameter leaves the others' draws
        axes = {
            key: value.values
            if isinstance(value, Tried)
            else (value.sample(stream(draw, f"draw {model}.{key}")),)
            if isinstance(value, Sampled)
            else (value,)
            for key, value in space.items()
        }
        crossed = itertools.product(*axes.values())
        configurations += [dict(zip(axes, values, strict=True)) for values in crossed]
    return configurations
