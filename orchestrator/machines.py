"""Which machines a sweep may count on, and what a trial is given on one of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence

import ray

from orchestrator.planning import resources, shared_by

Machine = dict[str, float]
"""What a machine has: {"CPU": 8, "GPU": 1}."""

GROWS = "GAUNTLET_GROWS"
"""The environment variable by which a cluster that grows by itself says which machines may come, as
JSON: one of each kind. Ray's autoscaler tells nobody."""


def machines() -> list[Machine]:
    """Those of the connected Ray, and one of each kind that may still come.

    Raises ValueError where GAUNTLET_GROWS is not a list of machines.
    """
    return [node["Resources"] for node in ray.nodes() if node["Alive"]] + may_come()


def may_come() -> list[Machine]:
    """The machines of GAUNTLET_GROWS."""
    told = os.environ.get(GROWS, "").strip() or "[]"
    try:
        return [{str(what): float(n) for what, n in kind.items()} for kind in json.loads(told)]
    except (ValueError, TypeError, AttributeError):
        raise ValueError(
            f"""{GROWS}={told} is no list of machines; write it as '[{{"CPU": 8, "GPU": 1}}]'"""
        ) from None


def bundles(model: str, task: str, processes: int, there: Sequence[Machine]) -> list[Machine]:
    """What a trial is given, process by process, where so many are to share it if they can."""
    n = shared_by(model, task, processes)
    return [given(model, there, n)] * n


def together(some: Sequence[Machine]) -> Machine:
    """What bundles come to.

    >>> together([{"CPU": 2, "GPU": 1}] * 2)
    {'CPU': 4, 'GPU': 2}
    """
    return {what: sum(one[what] for one in some) for what in some[0]}


def given(model: str, there: Sequence[Machine], processes: int = 1) -> Machine:
    """What a trial of a model is given: what it asks for, but no GPU where no machine has one."""
    wanted = resources(model, processes)
    if any(machine.get("GPU") for machine in there):
        return wanted
    return {what: much for what, much in wanted.items() if what != "GPU"}


def without_gpu(models: Iterable[str], there: Sequence[Machine]) -> list[str]:
    """The models that will do without the GPU they ask for."""
    return [model for model in sorted(set(models)) if given(model, there) != resources(model)]


def refuse_what_never_fits(
    models: Iterable[str], there: Sequence[Machine], *, cluster: bool
) -> None:
    """Raise ValueError for a model that no machine can hold: Ray would wait for one for ever."""
    for model in sorted(set(models)):
        wanted = given(model, there)
        if any(holds(machine, wanted) for machine in there):
            continue
        asked = f"{model} asks for {words(wanted)}"
        if not cluster:
            raise ValueError(
                f"{asked} and this machine has {words(there[0], wanted)}; leave it out, or name a"
                " cluster with --address"
            )
        has = "; ".join(sorted({words(machine, wanted) for machine in there})) or "none"
        raise ValueError(
            f"{asked} and no machine of this cluster can hold it (it has: {has}); leave it out, or"
            f" start the head with {GROWS} telling which machines may still come"
        )


def refuse_too_many(
    wanted: Mapping[tuple[str, str], Sequence[Machine]], there: Sequence[Machine], *, cluster: bool
) -> None:
    """Raise ValueError for a model and task whose processes do not all have room at a time."""
    for (model, _), asked in sorted(wanted.items()):
        one = asked[0]
        room = sum(fits(machine, one) for machine in there)
        if len(asked) <= room or any(holds(machine, one) for machine in may_come()):
            continue
        raise ValueError(
            f"{model} in {len(asked)} processes asks for {words(one)} for each of them, and"
            f" {'this cluster' if cluster else 'this machine'} has that {room} times: give the"
            f" sweep processes={max(room, 1)}"
        )


def fits(machine: Machine, wanted: Machine) -> int:
    """How often a machine has all that is wanted."""
    return int(min(machine.get(what, 0) / much + 1e-9 for what, much in wanted.items() if much))


def holds(machine: Machine, wanted: Machine) -> bool:
    """Whether all that is wanted is on one machine."""
    return all(machine.get(what, 0) >= much for what, much in wanted.items())


def words(machine: Machine, of: Machine | None = None) -> str:
    """Such as "8 CPU, 1 GPU": all that is in it, or only what `of` has, too."""
    return ", ".join(f"{machine.get(what, 0):g} {what}" for what in (of or machine))
