"""The processes that share a trial: a worker of Ray's, and a helper in each further bundle of its
placement group."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainables.protocols import Apart

if TYPE_CHECKING:
    from orchestrator.execute import Done
    from trainables.networks.processes import Place
    from trainables.trial import Trial

GRACE_S = 20.0
"""Seconds in which helpers end of themselves: after the worker, or after one of them has died."""


class Theirs(Exception):
    """What another process of the trial ended with, where that ended this one, too."""

    def __init__(self, done: Done) -> None:
        super().__init__(done.reason)
        self.done = done


class Helper:
    """A process that trains beside the worker. It keeps no record."""

    def __init__(self, table: list, storage: str) -> None:
        self.table, self.storage = table, storage

    def here(self) -> None:
        """Answer, once all is loaded that takes long to."""
        import trainables.networks.processes  # noqa: F401

    def help(self, trial_id: str, parts: int, place: Place, rank: int) -> Done:
        """Do process `rank`'s share of a trial, and say how that ended."""
        import ray

        from orchestrator.execute import assist
        from orchestrator.storage import opened
        from trainables.networks.processes import joined

        trials: Any = ray.get(self.table[0])
        address = ray.util.get_node_ip_address()
        return assist(
            trials[trial_id],
            opened(self.storage),
            parts,
            lambda device: joined(place, rank, device, address),
        )


@dataclass
class Team:
    """Who runs a trial; of one bundle, or none, the worker alone."""

    bundles: Sequence[Mapping[str, float]] = ()
    table: list = field(default_factory=list)
    """Holds what Ray knows the trials by."""
    storage: str = ""
    helpers: list[Any] = field(default_factory=list)
    cpu_s: float = 0.0
    """What the helpers computed for the last trial."""

    @property
    def processes(self) -> int:
        return max(1, len(self.bundles))

    @contextlib.contextmanager
    def together(self, trial: Trial, parts: int, device: str) -> Iterator[None]:
        """This worker is process 0 of the trial's, and all others run it, while this lasts.

        Raises Theirs where another ended the trial by an error of its own, and Apart where one
        died or is out of reach; then none of them is left.
        """
        self.cpu_s = 0.0
        if self.processes == 1:
            yield
            return
        import ray

        from trainables.networks.processes import hosted, joined

        address, asked = ray.util.get_node_ip_address(), []
        try:
            self.gather()
            with hosted(address, self.processes) as place:
                asked += [
                    helper.help.remote(trial.id, parts, place, rank)
                    for rank, helper in enumerate(self.helpers, 1)
                ]
                with joined(place, 0, device, address, lambda: still_there(asked)):
                    yield
        except Apart as error:
            cause = self.cause(asked, error)
            self.close()
            raise cause from error
        except BaseException:
            self.close()
            raise
        self.finish(asked)

    def gather(self) -> None:
        """Have the helpers started. Raises Apart where one does not come."""
        import ray
        from ray.exceptions import RayError
        from ray.util import get_current_placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        from trainables.networks.processes import PATIENCE_S

        group: Any = get_current_placement_group()
        for rank in range(len(self.helpers) + 1, self.processes):
            bundle = self.bundles[rank]
            options = ray.remote(Helper).options(
                num_cpus=bundle.get("CPU", 0),
                num_gpus=bundle.get("GPU", 0),
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    group, placement_group_bundle_index=rank
                ),
            )
            self.helpers.append(options.remote(self.table, self.storage))
        try:
            ray.get([helper.here.remote() for helper in self.helpers], timeout=PATIENCE_S)
        except RayError as error:
            raise Apart(f"a helper did not start: {told(error)}") from error

    def cause(self, asked: list[Any], error: Apart) -> Exception:
        """Why the processes parted: an error of another, its death, else as this one knows it."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        ray.wait(asked, num_returns=len(asked), timeout=GRACE_S) if asked else None
        deaths = []
        for rank, answer in enumerate(asked, 1):
            try:
                done: Any = ray.get(answer, timeout=0)
            except GetTimeoutError:
                continue
            except RayError as death:
                if not isinstance(getattr(death, "cause", None), Apart):
                    words = f"process {rank} of {self.processes} died: {told(death)}"
                    deaths.append(Apart(words))
                continue
            if done.status not in ("ok", "not_applicable"):
                return Theirs(done)
        return deaths[0] if deaths else error

    def finish(self, asked: list[Any]) -> None:
        """Wait for the helpers, who end with the worker; one that does not is let go."""
        import ray
        from ray.exceptions import RayError

        ended, late = ray.wait(asked, num_returns=len(asked), timeout=GRACE_S)
        try:
            dones: Any = ray.get(ended)
            self.cpu_s = sum(done.cost["cpu_s"] for done in dones)
        except RayError:
            late = asked
        if late:
            self.close()

    def close(self) -> None:
        """End the helpers, whatever they are at."""
        import ray

        while self.helpers:
            ray.kill(self.helpers.pop())


def still_there(asked: list[Any]) -> None:
    """Look a moment whether a helper has ended before all have met; raise Apart if so."""
    import ray

    if ray.wait(asked, timeout=0.02)[0]:
        raise Apart("a helper ended before all had met")


def told(error: BaseException) -> str:
    """What Ray says of a death, in a line.

    >>> told(ValueError(chr(10).join(["it died:", "", "  node a has no memory"])))
    'ValueError: it died: node a has no memory'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)}"[:400]
