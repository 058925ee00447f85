"""A handful of trials on a worker of Tune's: there itself, or in an environment of their own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from orchestrator.dealing import PATIENCE
from orchestrator.early import listener
from orchestrator.environments import Unmade, python
from orchestrator.execute import Done, execute, record_of
from orchestrator.records import Ledger
from orchestrator.storage import opened
from orchestrator.team import Team, told
from orchestrator.trouble import in_words
from trainables.trial import Trial

KEPT: dict[tuple[str, ...], Any] = {}
"""The worker in an environment that this one has started; it stays warm like this one."""


class Died(Exception):
    """The worker in an environment of its own is gone, and what it was at with it."""


@dataclass(frozen=True)
class Handful:
    """Some trials, one after the other."""

    ids: Sequence[str]
    again: bool
    """Whether the last worker of the first one died."""
    table: list
    """Holds what Ray knows the trials by."""
    storage: str
    code_version: str
    bundles: Sequence[Mapping[str, float]]
    time_limit: float | None = None
    judge: Any = None

    def run(self) -> None:
        """Run them here. What takes much longer than predicted ends early; the dealer deals the
        rest anew."""
        trials, started = fetched(self.table[0]), time.monotonic()
        team = Team(self.bundles, self.table, self.storage)
        with in_words(Path(self.storage)), contextlib.closing(team):
            home = opened(self.storage)
            for trial_id in self.ids:
                execute(
                    trials[trial_id],
                    home,
                    code_version=self.code_version,
                    report=listener(self.judge, trial_id),
                    time_limit=self.time_limit,
                    team=team,
                    again=self.again,
                )
                if time.monotonic() - started > PATIENCE:
                    break

    def run_beside(self, packages: tuple[str, ...]) -> None:
        """Run them in the environment for these packages; one that cannot be made fails them."""
        try:
            worker = beside(packages, self.bundles)
        except Unmade as error:
            with in_words(Path(self.storage)):
                return self.fail(error)
        try:
            ray.get(worker.run.remote(self))
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            KEPT.clear()
            raise Died(told(error)) from None

    def fail(self, error: Unmade) -> None:
        """Record that none of them has an environment to run in."""
        trials, ledger = fetched(self.table[0]), Ledger(opened(self.storage))
        for trial_id in self.ids:
            if ledger.settled(trial_id) is None:
                done = Done("failed", str(error), trace=error.trace or str(error))
                ledger.commit(record_of(trials[trial_id], done, self.code_version))


class Beside:
    """A worker in an environment of its own."""

    def run(self, handful: Handful) -> None:
        handful.run()


def beside(packages: tuple[str, ...], bundles: Sequence[Mapping[str, float]]) -> Any:
    """The worker in the environment for these packages, which is made on all machines first.

    Tune's own worker has nothing of the trial's bundles: all of the first is for this one. Raises
    Unmade.
    """
    if packages not in KEPT:
        while KEPT:
            ray.kill(KEPT.popitem()[1])
        first, bundle, elsewhere = found_here(packages), bundles[0], ray.remote(num_cpus=0)(found)
        asked = [elsewhere.options(**at(rank)).remote(packages) for rank in range(1, len(bundles))]
        for where in (first, *ray.get(asked)):
            if isinstance(where, Unmade):
                raise where
            if where != first:
                raise Unmade(
                    f"the environment for {', '.join(packages)} is in {first} on one machine and in"
                    f" {where} on another; set GAUNTLET_CACHE to one path on all of them"
                )
        worker: Any = ray.remote(Beside).options(
            num_cpus=bundle.get("CPU", 0),
            num_gpus=bundle.get("GPU", 0),
            runtime_env={"py_executable": first},
            **at(0),
        )
        KEPT[packages] = worker.remote()
    return KEPT[packages]


def found(packages: tuple[str, ...]) -> str | Unmade:
    """The interpreter for these packages on this machine, or why there is none."""
    try:
        return str(python(packages))
    except Unmade as error:
        return error


@cache
def found_here(packages: tuple[str, ...]) -> str | Unmade:
    """The same, asked once by each of Tune's workers: the next handful would fare no better."""
    return found(packages)


def at(rank: int) -> dict[str, Any]:
    """The options of what is to run in a bundle of this worker's placement group."""
    group: Any = get_current_placement_group()
    return {
        "scheduling_strategy": PlacementGroupSchedulingStrategy(
            group, placement_group_bundle_index=rank
        )
    }


@lru_cache(maxsize=1)
def fetched(table: ray.ObjectRef) -> dict[str, Trial]:
    """The trials of a sweep, once for each worker."""
    return ray.get(table)
