"""Spaces of hyperparameters, spelled as in `ray.tune`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.sweep import Pretraining


@dataclass(frozen=True)
class Grid:
    """Every value is tried."""

    values: tuple[Any, ...]

    def to_ray(self) -> Any:
        """The same as Ray Tune's own object."""
        from ray import tune

        return tune.grid_search(list(self.values))


@dataclass(frozen=True)
class Draw:
    """One value a draw, from the distribution of that name."""

    kind: str
    args: tuple[Any, ...]

    def sample(self, rng: np.random.Generator) -> Any:
        """A plain Python value."""
        if self.kind == "choice":
            return self.args[rng.integers(len(self.args))]
        low, high = self.args
        if self.kind == "randint":
            return int(rng.integers(low, high))
        if self.kind == "loguniform":
            return math.exp(rng.uniform(math.log(low), math.log(high)))
        return float(rng.uniform(low, high))

    def to_ray(self) -> Any:
        """The same as Ray Tune's own object."""
        from ray import tune

        if self.kind == "choice":
            return tune.choice(list(self.args))
        return getattr(tune, self.kind)(*self.args)


def grid(values: Iterable[Any]) -> Grid:
    """Try every value; several grids are crossed.

    >>> grid([0.1, 1]).values
    (0.1, 1)
    """
    kept = tuple(values)
    if not kept:
        raise ValueError("grid([]) has nothing to try; give it at least one value")
    return Grid(kept)


def choice(values: Sequence[Any]) -> Draw:
    """One of the values, each as likely."""
    if not values:
        raise ValueError("choice([]) has nothing to draw; give it at least one value")
    return Draw("choice", tuple(values))


def uniform(low: float, high: float) -> Draw:
    """A real number in [low, high)."""
    return Draw("uniform", bounds("uniform", low, high))


def loguniform(low: float, high: float) -> Draw:
    """A real number in [low, high), every order of magnitude as likely."""
    if low <= 0:
        raise ValueError(f"loguniform({low}, {high}) starts at or below zero; low must be positive")
    return Draw("loguniform", bounds("loguniform", low, high))


def randint(low: int, high: int) -> Draw:
    """A whole number from low up to, not including, high, as in `ray.tune`."""
    return Draw("randint", bounds("randint", low, high))


def pretrained(
    model: str,
    *,
    dataset: str | Any = None,
    seed: int | None = None,
    task_params: Mapping[str, Any] | None = None,
    **params: Any,
) -> Pretraining:
    """Weights that `model` learns first, with the hyperparameters `params`, in a trial of its own.

    On the same data set and with the same seed as the trial that starts from them, unless given.

    >>> pretrained("scbert", dataset="panglao", epochs=17).params
    {'epochs': 17}
    """
    return Pretraining(model, params, dataset, seed, task_params)


def bounds(kind: str, low: Any, high: Any) -> tuple[Any, Any]:
    """Both ends, in order."""
    if not low < high:
        raise ValueError(f"{kind}({low}, {high}) is empty; low must be below high")
    return low, high
