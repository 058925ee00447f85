"""One trial from start to record, whatever happens on the way; no scheduler in here."""

from __future__ import annotations

import contextlib
import platform
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from orchestrator import environments, memory, overtime
from orchestrator.artifacts import keep_artifacts, log_to, save_table
from orchestrator.declared import better
from orchestrator.early import Pruned
from orchestrator.measuring import measured, threads
from orchestrator.records import Ledger, Record, now
from orchestrator.storage import carried, drop, store
from orchestrator.team import Team, Theirs
from orchestrator.trouble import cannot_write, patiently
from trainables import catalog
from trainables.arithmetic import arithmetic
from trainables.audit import footprint
from trainables.external import sealed
from trainables.paths import below
from trainables.protocols import Apart, Card, Context, Metrics, NotApplicable, Unavailable
from trainables.trial import Trial


def execute(
    trial: Trial,
    storage: Path,
    *,
    code_version: str,
    report: Callable[[Metrics], None] = lambda metrics: None,
    time_limit: float | None = None,
    team: Team | None = None,
    again: bool = False,
) -> Record:
    """Run a trial, keep its artifacts, commit its record, and give the record that stands.

    A settled trial is not run again. Every error of the trial becomes its outcome, with a
    one-line reason and the full trace; memory that ran out is tried once more in smaller parts,
    where the model can. One that takes longer than `time_limit` seconds takes this process with
    it, wherever it hangs; the next process that is asked for it records the timeout. Where the
    `team` has helpers they share the trial. `again` says that its last worker died: if the kernel
    has ended a process here meanwhile, memory ran out. Raises OSError where the storage fails,
    Apart where a helper died, and Unavailable where this machine lacks a file that the driver has:
    what a trial left there to go on from stays.
    """
    team = team or Team()
    trial = trial.located()
    ledger = Ledger(storage)
    if (known := ledger.settled(trial.id)) is not None:
        return known
    late, mark = overtime.mark_of(storage, trial.id), memory.mark_of(storage, trial.id)
    if (left := overtime.ran_out(late)) is not None:
        record = record_of(trial, too_late(*left, team.processes), code_version)
        ledger.commit(record)
        for path in (late, mark):
            path.unlink(missing_ok=True)
        return record
    parts = memory.parts_for(trial, ledger.last(trial.id))
    if again and memory.kernel_ended(mark):
        reason = memory.told("the kernel ended its process", parts)
        ended = Done("out_of_memory", reason, parts=parts, processes=team.processes)
        record = record_of(trial, ended, code_version)
        ledger.commit(record)
        if memory.parts_for(trial, record) == parts:
            mark.unlink()
            drop(storage, f"checkpoints/{trial.id}")
            return record
        parts = memory.parts_for(trial, record)
    scratch = Path(tempfile.mkdtemp(prefix=f"gauntlet-{trial.id}-"))
    try:
        carry = carried(storage, f"checkpoints/{trial.id}")
        with memory.marked(mark), overtime.deadline(late, time_limit), carry:
            done = attempt(trial, storage, scratch, report, team, parts)
        if (known := ledger.settled(trial.id)) is not None:
            return known  # another was first while this machine was cut off; its files stand, too
        patiently(lambda: keep_artifacts(storage, trial.id, scratch / "artifacts"))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record = record_of(trial, done, code_version)
    first = patiently(lambda: ledger.commit(record))
    if memory.parts_for(trial, record) > parts:
        memory.give_back()
        given = {"code_version": code_version, "report": report, "time_limit": time_limit}
        return execute(trial, storage, team=team, **given)
    drop(storage, f"checkpoints/{trial.id}")
    return record if first else ledger.settled(trial.id) or record


COSTS = ("wall_s", "cpu_s", "gpu_s", "peak_rss_mb", "peak_gpu_mb")


@dataclass
class Done:
    """What happened."""

    status: str = "ok"
    reason: str = ""
    lacks: str = ""
    """The package without which a trial does not apply here."""
    unavailable: bool = False
    """Whether only this machine lacks something, so that the record is no last word."""
    trace: str = ""
    protocol: str = ""
    drawn: dict[str, Any] | None = None
    """How the test cells were drawn: the fields of `protocols.Drawn`, none where the task does not
    declare it; None where the trial did not come so far."""
    metrics: Metrics = field(default_factory=dict)
    history: list[Metrics] = field(default_factory=list)
    saw: list[dict[str, Any]] = field(default_factory=list)
    """Each fitting step: its name, how many cells it saw, and the hash of their names."""
    notes: dict[str, dict[str, int | str]] = field(default_factory=dict)
    """Facts by model, such as the number of cells that hold no gene it knows."""
    started_at: str = field(default_factory=now)
    cost: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COSTS, 0.0))
    parts: int = 1
    """Into how many a forward pass was parted, for want of memory."""
    processes: int = 1
    """How many shared the training."""
    device: str = ""
    """"cpu", or the name of the GPU that computed."""
    precision: str = ""
    """Precision of the network's forward passes; "" for a model without a network."""
    attention: str = ""
    """Attention kernel of the network; see `trainables.arithmetic`."""


def attempt(
    trial: Trial,
    storage: Path,
    scratch: Path,
    report: Callable[[Metrics], None],
    team: Team | None = None,
    parts: int = 1,
) -> Done:
    """Run the trial once, measuring it, and turn any error into an outcome.

    Raises OSError where a write fails, Apart, and Unavailable: these say nothing of the trial.
    """
    team, trial = team or Team(), trial.located()
    done = Done(parts=parts, processes=team.processes)
    artifacts = scratch / "artifacts"
    artifacts.mkdir()

    def progress(metrics: Metrics) -> None:
        refuse_no_number(metrics, f" after epoch {metrics.get('epoch', 0):g}")
        done.history.append(metrics)
        report(metrics)

    card = catalog.card(trial.model)
    done.device = device_name(device(card))
    checkpoints = checkpoints_of(storage, trial.id)
    checkpoints.mkdir(parents=True, exist_ok=True)
    ctx = Context(
        seed=trial.seed,
        scratch=scratch,
        store=store(storage),
        device=device(card),
        cpus=card.cpus,
        parts=parts,
        trial=trial.id,
        checkpoints=checkpoints,
        report=progress,
        saw=lambda step, names: done.saw.append(footprint(step, names)),
        note=lambda name, facts: done.notes.update({name: dict(facts)}),
        save=lambda name, table: save_table(below(artifacts, name), table),
    )
    with watched(done, artifacts, card), sealed(), team.together(trial, parts, ctx.device):
        environments.refuse_ours(trial.model)
        task, cells = trial.the_task(), trial.cells(ctx.store)
        done.protocol = task.described(cells)
        done.drawn = asdict(task.drawn(cells, trial.seed)) if hasattr(task, "drawn") else {}
        used = arithmetic(trial.build(ctx.store), ctx.device)
        done.precision, done.attention = used.precision, used.attention
        report({})  # which raises where its setting was stopped before it began
        metrics = trial.run(ctx)
        refuse_no_number(metrics)
        done.metrics = metrics
    done.cost["cpu_s"] = round(done.cost["cpu_s"] + team.cpu_s, 4)
    return done


def refuse_no_number(metrics: Metrics, when: str = "") -> None:
    """Raise ValueError for a score that is no finite number: nothing can be concluded from it."""
    for name, value in metrics.items():
        if isinstance(value, str) or not isfinite(value):
            raise ValueError(f"{name} came out as {value!r}{when}, which is no finite number")


def assist(
    trial: Trial,
    storage: Path,
    parts: int,
    join: Callable[[str], contextlib.AbstractContextManager[None]],
) -> Done:
    """Run a trial beside the process that keeps its record: how that ended, and what it cost.

    `join`, given the device, makes this process one of the trial's. Raises as `attempt` does.
    """
    done, card = Done(parts=parts), catalog.card(trial.model)
    with tempfile.TemporaryDirectory(prefix=f"gauntlet-{trial.id}-") as folder:
        scratch = Path(folder)
        ctx = Context(
            seed=trial.seed,
            scratch=scratch,
            store=store(storage),
            device=device(card),
            cpus=card.cpus,
            parts=parts,  # and no `trial`: nothing is kept under its name
        )
        with watched(done, scratch, card), sealed(), join(ctx.device):
            trial.run(ctx)
    return done


@contextlib.contextmanager
def watched(done: Done, folder: Path, card: Card) -> Iterator[None]:
    """What a trial costs, says and comes to inside of this, on the cores that its card gives it."""
    with measured(done.cost), log_to(folder / "log.txt"), outcome(done), threads(card.cpus):
        yield


@contextlib.contextmanager
def outcome(done: Done) -> Iterator[None]:
    """An error inside of this is what the trial came to, unless it says nothing of the trial."""
    try:
        yield
    except Pruned as reason:
        done.status, done.reason = "pruned", one_line(reason)
    except Unavailable as reason:
        raise Unavailable(f"on the machine {platform.node()}: {reason}") from reason
    except NotApplicable as reason:
        done.status, done.reason = "not_applicable", one_line(reason)
    except Apart:
        raise
    except Theirs as error:
        theirs = error.done
        done.status, done.reason, done.trace = theirs.status, theirs.reason, theirs.trace
        print(done.trace)
    except Exception as error:
        if cannot_write(error):
            raise
        done.status, done.reason = "failed", one_line(error)
        if memory.ran_out(error):
            done.status, done.reason = "out_of_memory", memory.told(done.reason, done.parts)
        done.trace = traceback.format_exc()
        print(done.trace)


def record_of(trial: Trial, done: Done, code_version: str) -> Record:
    """The record of a trial: what was asked, what came of it, and what it cost."""
    metrics = {k: float(v) for k, v in done.metrics.items() if not k.startswith("n_")}
    return {
        "trial_id": trial.id,
        "status": done.status,
        "reason": done.reason,
        "parts": done.parts,
        "processes": done.processes,
        "device": done.device,
        "precision": done.precision,
        "attention": done.attention,
        "trial": trial.spelled_out(),
        "external": {name: file.summary() for name, file in (trial.external or {}).items()},
        "protocol": done.protocol,
        **({} if done.drawn is None else {"drawn": done.drawn}),
        "metrics": metrics,
        "better": better(trial.task, metrics),
        "counts": {k: int(v) for k, v in done.metrics.items() if k.startswith("n_")},
        "history": done.history,
        "saw": done.saw,
        "notes": done.notes,
        "cost": done.cost,
        "trace": done.trace,
        "code_version": code_version,
        "environment": environments.here(),
        "python": platform.python_version(),
        "started_at": done.started_at,
        "ended_at": now(),
        "hostname": platform.node(),
    } | {key: value for key in ("lacks", "unavailable") if (value := getattr(done, key))}


def lost(
    trial: Trial, reason: str, code_version: str, parts: int = 1, processes: int = 1
) -> Record:
    """The record of a trial whose worker died more often than we retry, or for want of memory."""
    status = "out_of_memory" if "OutOfMemory" in reason else "failed"
    done = Done(status, one_line(reason), parts=parts, processes=processes)
    return record_of(trial, done, code_version)


def checkpoints_of(storage: Path, trial_id: str) -> Path:
    """Where a trial leaves what it can go on from, should its worker die."""
    return storage / "checkpoints" / trial_id


def too_late(seconds: float, trace: str, processes: int) -> Done:
    """The outcome of a trial whose process was ended after so many seconds."""
    return Done(
        status="timeout",
        reason=f"took longer than its limit of {seconds:g} s",
        trace=trace,
        cost=dict.fromkeys(COSTS, 0.0) | {"wall_s": seconds},
        processes=processes,
    )


def device(card: Card) -> str:
    """What a model's torch code runs on: a GPU where it takes one and the scheduler gave one."""
    if not card.gpus:
        return "cpu"
    import torch  # before `threads`: numba would raise a number that torch only read somewhere

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(device: str) -> str:
    """Name of the GPU behind "cuda", for the record; other devices as they are."""
    if device != "cuda":
        return device
    import torch

    return torch.cuda.get_device_name()


def one_line(reason: Any) -> str:
    """The first line of a message, or the error's name where it has none.

    >>> one_line(ValueError("no cells" + chr(10) + "at all")), one_line(KeyError())
    ('no cells', 'KeyError')
    """
    text = str(reason).strip().split("\n")[0][:400]
    return text or type(reason).__name__
