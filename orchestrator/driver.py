"""A sweep from its name to its records: plan, prepare, run what is missing, mirror."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from orchestrator.adaptive import next_round
from orchestrator.configurations import model_of
from orchestrator.costs import Costs, Makespan, makespan
from orchestrator.early import judge
from orchestrator.manifests import keep_makespan, read_manifest, write_manifest
from orchestrator.mirroring import Mirroring
from orchestrator.planning import Plan, known_costs, plan, stages, with_needs
from orchestrator.ready import ready
from orchestrator.records import WELL, Ledger, Record, now
from orchestrator.sharing import shared_out
from orchestrator.storage import opened
from orchestrator.sweep import Sweep
from orchestrator.tracking import Syncer
from orchestrator.until import topped_up
from orchestrator.version import code_version
from trainables.trial import Trial


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    sweep: str
    planned: int
    ran: int
    statuses: dict[str, int]
    seconds: float
    interrupted: bool
    untracked: str
    """Why MLflow does not show everything yet, or ""."""
    left_out: int = 0
    """Trials that still have to run, which `--only` left out."""
    makespan: Makespan | None = None
    """How long the trials were to take and did; None where none was to run."""

    @property
    def unfinished(self) -> int:
        return self.planned - sum(self.statuses.values())

    @property
    def failed(self) -> int:
        return sum(n for s, n in self.statuses.items() if s not in WELL)


class Display(Protocol):
    """Shows progress; the command has a rich one."""

    def close(self) -> None: ...
    def note(self, text: str) -> None: ...
    def begin(
        self, trials: list[Trial], missing: list[Trial], left_out: int = 0, unable: int = 0
    ) -> None: ...
    def watch(self, what: str, trial: Trial, record: Record | None) -> None: ...


class Silent:
    """Shows nothing."""

    def close(self) -> None: ...
    def note(self, text: str) -> None: ...
    def begin(
        self, trials: list[Trial], missing: list[Trial], left_out: int = 0, unable: int = 0
    ) -> None: ...
    def watch(self, what: str, trial: Trial, record: Record | None) -> None: ...


def run(
    sweep: str | Sweep,
    storage: str | Path = "gauntlet-runs",
    *,
    tracking_uri: str | None = None,
    address: str | None = None,
    max_concurrent: int | None = None,
    only: str | None = None,
    time_limit: float | None = None,
    display: Display | None = None,
    **changes: Any,
) -> Ran:
    """Run the trials of a sweep that have no settled record, and mirror all of them to MLflow.

    `only` limits this to one model's trials; the sweep's plan stays whole. A trial that takes
    longer than `time_limit` seconds ends as "timeout". Running the same again resumes. A sweep with
    `max_seeds` goes on until its comparisons are decided (see `until`), one with a `search` until
    it has tried all its settings (see `adaptive`). Raises LookupError or
    ValueError, before anything is started, for unknown names and for cells that the sweep cannot
    use.
    """
    planned = plan(sweep, storage, **changes)
    arms = {*planned.sweep.models, *map(model_of, planned.sweep.models)}
    if only is not None and only not in arms:
        raise LookupError(
            f"the sweep has no model {only!r}; it has: {', '.join(planned.sweep.models)}"
        )
    if only is not None and planned.sweep.max_seeds:
        raise ValueError("a pair is decided by both of its arms: leave out --only, or --until")
    shown = display or Silent()

    def once(planned: Plan, known: Collection[str]) -> Ran:
        missing = [trial for trial in ready(planned, shown.note) if trial.id not in known]
        every = len(missing)
        if only is not None:
            missing = with_needs([t for t in missing if only in (t.model, t.shown)], missing)
        manifest = planned.manifest()
        write_manifest(planned.storage, manifest)
        where = planned.storage, tracking_uri, address, time_limit
        how = planned.sweep.processes, judge(manifest, planned.trials, planned.storage)
        costs = planned.known if missing else None
        unable = sum(trial.id not in known for trial in planned.to_run) - every
        counts = every - len(missing), unable
        job = Job(planned.sweep.name, planned.trials, *where, *how, costs, *counts)
        return carry_out(job, missing, shown, ray, max_concurrent)

    with ExitStack() as ray:  # one for all looks and rounds
        ran = once(planned, ())
        while not ran.interrupted and (more := further(planned)):
            known = {trial.id for trial in planned.trials}
            again, planned = once(more, known), more
            seconds = round(ran.seconds + again.seconds, 1)
            ran = replace(again, ran=ran.ran + again.ran, seconds=seconds)
    return ran


def further(planned: Plan) -> Plan | None:
    """The plan with what its trials so far call for: more seeds or settings; None for neither."""
    if planned.sweep.max_seeds:
        return topped_up(planned)
    return next_round(planned) if planned.sweep.search else None


def retry(
    sweep: str,
    storage: str | Path = "gauntlet-runs",
    *,
    only: str | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
    time_limit: float | None = None,
    display: Display | None = None,
) -> Ran:
    """Run a recorded sweep's failed trials again, or only those of one outcome, as the sweep runs
    them: by as many processes, and with its stopper.

    Raises LookupError for a sweep that was never run here, ValueError for an outcome that is
    never retried.
    """
    place = opened(storage)
    manifest = read_manifest(place, sweep)
    if only in WELL:
        raise ValueError(f"a trial that is {only!r} stands; retry what failed, or is out_of_memory")
    trials = {i: Trial(**spec) for i, spec in manifest["trials"].items()}
    records = {r["trial_id"]: r["status"] for r in Ledger(place).current(manifest["trials"])}
    unsettled = {i: s for i, s in records.items() if s not in WELL and only in (None, s)}
    failed = [located(trials[i], i, sweep) for i in unsettled]
    every = list(trials.values())
    how = manifest.get("processes", 1), judge(manifest, every, place)
    job = Job(sweep, every, place, tracking_uri, address, time_limit, *how)
    with ExitStack() as ray:
        return carry_out(job, failed, display or Silent(), ray)


def located(trial: Trial, known: str, sweep: str) -> Trial:
    """A recorded trial with its external files found again.

    Raises LookupError where they are no longer what they were when `known` was planned.
    """
    found = trial.located()
    if found.id != known:
        raise LookupError(
            f"the trial {known} ({trial.shown}, seed {trial.seed}) was planned with other files, or"
            f" another version of its model or task; plan it anew with: gauntlet run {sweep}"
        )
    return found


@dataclass(frozen=True)
class Job:
    """A sweep's trials and where they run."""

    sweep: str
    trials: list[Trial]
    storage: Path
    tracking_uri: str | None
    address: str | None
    time_limit: float | None = None
    processes: int = 1
    judge: Callable[[], Any] | None = None
    """Makes what may end trials early, once Ray is there."""
    known: Costs | None = None
    """What past trials cost, where that was read already."""
    left_out: int = 0
    """Trials that `--only` left out."""
    unable: int = 0
    """Trials whose model lacks something on this machine."""


def carry_out(
    job: Job,
    missing: list[Trial],
    display: Display,
    ray: ExitStack,
    max_concurrent: int | None = None,
) -> Ran:
    """Run what is missing, mirror everything, and say what came of it.

    Ray is started where there is something to run, and lasts as long as the stack `ray`.
    """
    started = time.perf_counter()
    mirroring = Mirroring(Syncer(job.storage, job.sweep, job.tracking_uri))
    ran, interrupted, took = 0, False, None
    if missing:
        display.begin(job.trials, missing, job.left_out, job.unable)
        ran, interrupted, took = go(job, missing, display, mirroring, ray, max_concurrent)
    else:
        mirroring.once()
    return Ran(
        sweep=job.sweep,
        planned=len(job.trials),
        ran=ran,
        statuses=statuses(job),
        seconds=round(time.perf_counter() - started, 1),
        interrupted=interrupted,
        untracked=mirroring.trouble,
        left_out=job.left_out,
        makespan=took,
    )


def statuses(job: Job) -> dict[str, int]:
    """How many of a job's trials ended how; those that did not end are left out."""
    from orchestrator.compact import compacted

    table = compacted(job.storage, job.sweep)
    told = zip(table["trial_id"].to_pylist(), table["status"].to_pylist(), strict=True)
    mine = {trial.id for trial in job.trials}
    known = {i: status for i, status in told if i in mine}
    # of a sweep of this name that another has planned otherwise meanwhile
    others = {r["trial_id"]: r["status"] for r in Ledger(job.storage).current(mine - set(known))}
    return dict(Counter(filter(None, [*known.values(), *others.values()])))


def go(
    job: Job,
    trials: list[Trial],
    display: Display,
    mirroring: Mirroring,
    ray: ExitStack,
    max_concurrent: int | None,
) -> tuple[int, bool, Makespan | None]:
    """Run trials on Ray, shown as they go: how many, whether Ctrl-C left some to do, and how long
    all were to take and did. The last is kept beside the sweep's manifest."""
    from orchestrator.launch import connected, launch, room

    costs = job.known or known_costs(job.storage, job.processes)
    ran: set[str] = set()
    ended: set[str] = set()
    moments: list[float] = []

    def watch(what: str, trial: Trial, record: Record | None) -> None:
        ran.add(trial.id)
        moments[1:] = [time.monotonic()]
        if record is not None:
            ended.add(trial.id)
        display.watch(what, trial, record)

    def carry_out_here(some: list[Trial]) -> bool:
        launch(
            some,
            job.storage,
            code_version=code_version(),
            watch=watch,
            costs=costs,
            max_concurrent=max_concurrent,
            cluster=job.address is not None,
            note=display.note,
            time_limit=job.time_limit,
            judge=job.judge,
            processes=job.processes,
        )
        return {trial.id for trial in some} <= ended  # Tune swallows the first Ctrl-C, and stops

    try:
        # Ray ends after the mirroring, so that other threads have ended when it shuts down: one
        # that happens to free an object of Ray's in that moment would take the process with it.
        with closing(display), mirroring:  # MLflow is loaded while Ray starts
            ray.enter_context(connected(job.address))
            there = room(trials, max_concurrent, job.processes)
            expected = makespan(trials, costs, *there)
            whole = all(
                shared_out(stage, job.storage, carry_out_here, display.note)
                for stage in stages(trials)
            )
    except KeyboardInterrupt:
        return len(ran), True, None
    if not whole or not moments:
        return len(ran), not whole, None
    took = replace(expected, actual=round(moments[-1] - moments[0], 2))
    keep_makespan(job.storage, job.sweep, {"ended_at": now(), "trials": len(ran), **asdict(took)})
    return len(ran), False, took
