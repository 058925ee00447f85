"""External files of trials on several machines: who sees them, and copies for the others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.machines import may_come
from orchestrator.storage import store
from trainables.external import External
from trainables.trial import Trial


def files_of(trials: Iterable[Trial]) -> set[External]:
    """All external files of trials."""
    return {file for trial in trials for file in (trial.external or {}).values()}


def publish(files: Iterable[External], storage: Path) -> None:
    """Copy files into the storage, once for each content.

    Raises OSError where one can no longer be read, and ValueError where one has changed.
    """
    shared = store(storage)
    for file in files:
        file.publish(shared)


def unseen(files: Iterable[External]) -> list[External]:
    """The files that a machine of the connected Ray does not see where the driver has them.

    Machines that may still come count as the present ones; with none present but the driver's,
    they count as seeing nothing.
    """
    others = other_machines()
    if not others:
        return list(files) if may_come() else []
    return [file for file in files if any(problems(file, others))]


def other_machines() -> list[str]:
    """Ray's ids of the machines that are there, without the driver's."""
    import ray

    mine = ray.get_runtime_context().get_node_id()
    return [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != mine]


def problems(file: External, machines: Iterable[str]) -> list[str]:
    """Why each machine cannot use a file where the driver has it; "" where it can."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe: Any = ray.remote(num_cpus=0)(External.problem)
    asked = [
        probe.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=machine, soft=False)
        ).remote(file)
        for machine in machines
    ]
    answers = []
    for answer in asked:
        try:
            answers.append(ray.get(answer))
        except RayError as error:  # the machine went away while it was asked
            answers.append(str(error))
    return answers
