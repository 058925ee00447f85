"""One trial from start to record, whatever happens on the way; no scheduler in here."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.records import Ledger, Record, now
from trainables import catalog
from trainables.audit import footprint
from trainables.protocols import Card, Context, Metrics, NotApplicable
from trainables.store import Store
from trainables.trial import Trial

if TYPE_CHECKING:
    import pandas as pd


def execute(
    trial: Trial,
    storage: Path,
    *,
    code_version: str,
    report: Callable[[Metrics], None] = lambda metrics: None,
    time_limit: float | None = None,
) -> Record:
    """Run a trial, keep its artifacts, commit its record, and give the record that stands.

    A settled trial is not run again. Every error of the trial becomes its outcome, with a
    one-line reason and the full trace. One that takes longer than `time_limit` seconds takes this
    process with it, wherever it hangs; the next process that is asked for it records the timeout.
    """
    ledger = Ledger(storage)
    if (known := ledger.settled(trial.id)) is not None:
        return known
    if (overdue := timed_out(trial, storage)) is not None:
        record = record_of(trial, overdue, code_version)
        ledger.commit(record)
        late_mark(storage, trial.id).unlink(missing_ok=True)
        return record
    scratch = Path(tempfile.mkdtemp(prefix=f"gauntlet-{trial.id}-"))
    try:
        with deadline(late_mark(storage, trial.id), time_limit):
            done = attempt(trial, storage, scratch, report)
        keep_artifacts(storage, trial.id, scratch / "artifacts")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    record = record_of(trial, done, code_version)
    shutil.rmtree(checkpoints_of(storage, trial.id), ignore_errors=True)
    if not ledger.commit(record):
        return ledger.settled(trial.id) or record  # another worker was first; its result stands
    return record


COSTS = ("wall_s", "cpu_s", "gpu_s", "peak_rss_mb", "peak_gpu_mb")


@dataclass
class Done:
    """What happened."""

    status: str = "ok"
    reason: str = ""
    trace: str = ""
    protocol: str = ""
    metrics: Metrics = field(default_factory=dict)
    history: list[Metrics] = field(default_factory=list)
    saw: list[dict[str, Any]] = field(default_factory=list)
    """Each fitting step: its name, how many cells it saw, and the hash of their names."""
    started_at: str = field(default_factory=now)
    cost: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COSTS, 0.0))


def attempt(trial: Trial, storage: Path, scratch: Path, report: Callable[[Metrics], None]) -> Done:
    """Run the trial once, measuring it, and turn any error into an outcome."""
    done = Done()
    artifacts = scratch / "artifacts"
    artifacts.mkdir()

    def progress(metrics: Metrics) -> None:
        done.history.append(metrics)
        report(metrics)

    card = catalog.card(trial.model)
    ctx = Context(
        seed=trial.seed,
        scratch=scratch,
        store=Store(storage / "store"),
        device=device(card),
        cpus=card.cpus,
        trial=trial.id,
        checkpoints=checkpoints_of(storage, trial.id),
        report=progress,
        saw=lambda step, names: done.saw.append(footprint(step, names)),
        save=lambda name, table: save_table(artifacts / name, table),
    )
    with measured(done.cost), log_to(artifacts / "log.txt"):
        try:
            with threads(card.cpus):
                done.protocol = trial.the_task().described(trial.cells(ctx.store))
                done.metrics = trial.run(ctx)
        except NotApplicable as reason:
            done.status, done.reason = "not_applicable", one_line(reason)
        except Exception as error:  # noqa: BLE001  every error of a trial is data, kept in full
            out_of_memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
            done.status = "out_of_memory" if out_of_memory else "failed"
            done.reason = one_line(error)
            done.trace = traceback.format_exc()
            print(done.trace)
    return done


def record_of(trial: Trial, done: Done, code_version: str) -> Record:
    """The record of a trial: what was asked, what came of it, and what it cost."""
    metrics = {k: float(v) for k, v in done.metrics.items() if not k.startswith("n_")}
    return {
        "trial_id": trial.id,
        "status": done.status,
        "reason": done.reason,
        "trial": trial.spelled_out(),
        "protocol": done.protocol,
        "metrics": metrics,
        "counts": {k: int(v) for k, v in done.metrics.items() if k.startswith("n_")},
        "history": done.history,
        "saw": done.saw,
        "cost": done.cost,
        "trace": done.trace,
        "code_version": code_version,
        "python": platform.python_version(),
        "started_at": done.started_at,
        "ended_at": now(),
        "hostname": platform.node(),
    }


def lost(trial: Trial, reason: str, code_version: str) -> Record:
    """The record of a trial whose worker died more often than we retry."""
    status = "out_of_memory" if "OutOfMemory" in reason else "failed"
    return record_of(trial, Done(status=status, reason=one_line(reason)), code_version)


def checkpoints_of(storage: Path, trial_id: str) -> Path:
    """Where a trial leaves what it can go on from, should its worker die."""
    return storage / "checkpoints" / trial_id


def late_mark(storage: Path, trial_id: str) -> Path:
    """Where a trial that runs out of time leaves the trace of where it was."""
    return storage / "late" / trial_id


@contextlib.contextmanager
def deadline(mark: Path, seconds: float | None) -> Iterator[None]:
    """End this process after so many seconds, leaving every thread's trace in `mark`.

    Python's own watchdog does it, which asks no lock: it also ends what hangs in compiled code.
    """
    if seconds is None:
        yield
        return
    mark.parent.mkdir(parents=True, exist_ok=True)
    with mark.open("w") as trace:
        trace.write(f"{seconds:g}\n")
        trace.flush()
        faulthandler.dump_traceback_later(seconds, exit=True, file=trace)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    mark.unlink()


def timed_out(trial: Trial, storage: Path) -> Done | None:
    """The outcome of a trial whose last process ran out of time; None where none did."""
    try:
        seconds, _, trace = late_mark(storage, trial.id).read_text().partition("\n")
    except FileNotFoundError:
        return None
    if not trace:
        return None  # that process died of something else
    cost = dict.fromkeys(COSTS, 0.0) | {"wall_s": float(seconds)}
    return Done(
        status="timeout",
        reason=f"took longer than its limit of {seconds} s",
        trace=trace,
        cost=cost,
    )


def device(card: Card) -> str:
    """What a model's torch code runs on: a GPU where it takes one and the scheduler gave one."""
    if not card.gpus:
        return "cpu"
    import torch  # before `threads`: numba would raise a number that torch only read somewhere

    return "cuda" if torch.cuda.is_available() else "cpu"


def one_line(reason: Any) -> str:
    """The first line of a message, or the error's name where it has none.

    >>> one_line(ValueError("no cells" + chr(10) + "at all")), one_line(KeyError())
    ('no cells', 'KeyError')
    """
    text = str(reason).strip().split("\n")[0][:400]
    return text or type(reason).__name__


@contextlib.contextmanager
def measured(cost: dict[str, float]) -> Iterator[None]:
    """Fill `cost` with seconds of wall and CPU and the peak resident memory of what runs inside."""
    reset_peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        cost["wall_s"] = round(time.perf_counter() - wall, 4)
        cost["cpu_s"] = round(time.process_time() - cpu, 4)
        cost["peak_rss_mb"] = round(peak_memory_mb(), 1)


def reset_peak_memory() -> None:
    """Forget the peak that an earlier trial left in this warm process, where Linux lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """The process's peak resident memory since the last reset, in MB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Keep what a trial prints and warns; an empty log leaves no file."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield
    finally:
        if said.getvalue():
            path.write_text(said.getvalue())


@contextlib.contextmanager
def threads(cpus: int) -> Iterator[None]:
    """As many BLAS and OpenMP threads as the trial was given cores: sums then round the same way
    alone and among others. Libraries that the trial is the first to load read their environment."""
    asked = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(cpus)
    try:
        with thread_pools(len(sys.modules)).limit(limits=cpus):
            if torch := sys.modules.get("torch"):
                torch.set_num_threads(cpus)  # its own number stands above OpenMP's
            yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if asked is not None:
            os.environ["OMP_NUM_THREADS"] = asked


@lru_cache(maxsize=1)
def thread_pools(loaded: int) -> Any:
    """The libraries that have threads; looked for anew when more modules are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def save_table(path: Path, table: pd.DataFrame) -> None:
    """Parquet for tables of cells, CSV for summaries that people open."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)


def keep_artifacts(storage: Path, trial_id: str, draft: Path) -> None:
    """Move a trial's artifacts to `artifacts/<id>`, in place of what a lost attempt left there."""
    home = storage / "artifacts" / trial_id
    incoming = home.with_name(f".{trial_id}-{os.getpid()}")
    shutil.rmtree(incoming, ignore_errors=True)
    shutil.copytree(draft, incoming)
    shutil.rmtree(home, ignore_errors=True)
    with contextlib.suppress(OSError):  # another worker has just put the same files there
        incoming.rename(home)
    shutil.rmtree(incoming, ignore_errors=True)
