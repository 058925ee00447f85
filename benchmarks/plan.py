"""What the driver does before and beside the trials: to plan a sweep, and to take it up again.

    uv run python benchmarks/plan.py [--trials 1000 10000 100000] [--scratch DIR] [--profile]

A sweep on the toy cells, 20 settings by as many seeds as it takes. Records are made up and written
by the ledger (without waiting for the disk) and mirrored by the syncer into MLflow's SQLite. Each
line is a fresh process; seconds leave imports out, the peak resident memory does not. "half done"
ends where the first trial would start, its trials leased; "all done" is the whole of
`gauntlet run` but for the comparison and the report.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from common import peak_mb, show

from orchestrator.sweep import Sweep
from search_spaces.spaces import grid

SETTINGS = 20


def sweep(trials: int) -> Sweep:
    """So many trials."""
    return Sweep(
        title="many",
        task="annotation",
        models={"logreg": {"C": grid([round(0.1 * (i + 1), 1) for i in range(SETTINGS)])}},
        datasets=["toy"],
        seeds=range(trials // SETTINGS),
        name="many",
    )


def plan(trials: int, storage: Path) -> None:
    """`gauntlet plan`."""
    from orchestrator.planning import plan

    assert plan(sweep(trials), storage).summary()["trials"] == trials


def write(trials: int, storage: Path, part: slice) -> None:
    """Records of some of the trials."""
    from orchestrator.execute import COSTS, Done, record_of
    from orchestrator.manifests import write_manifest
    from orchestrator.planning import plan
    from orchestrator.records import Ledger

    planned, ledger = plan(sweep(trials), storage), Ledger(storage)
    write_manifest(storage, planned.manifest())
    scores = {f"{p}/{m}": 0.5 for p in ("test", "valid") for m in ("accuracy", "macro_f1")}
    done = Done(metrics=scores | {"n_train": 192, "n_eval": 48}, protocol="random 70%/10%/20%",
                cost=dict.fromkeys(COSTS, 0.1))  # fmt: skip
    with mock.patch("os.fsync"):
        for trial in planned.trials[part]:
            ledger.commit(record_of(trial, done, "0.1.0"))


def first_half(trials: int, storage: Path) -> None:
    write(trials, storage, slice(0, trials // 2))


def second_half(trials: int, storage: Path) -> None:
    write(trials, storage, slice(trials // 2, trials))


def mirror(trials: int, storage: Path) -> None:
    """`gauntlet sync`."""
    from orchestrator.tracking import Syncer

    Syncer(storage, "many").sync()


def resume(trials: int, storage: Path) -> None:
    """`gauntlet run` as far as the first trial, where one is left to run."""
    from orchestrator import launch
    from orchestrator.driver import run

    def stop(some: list, *_: object, **__: object) -> None:
        print(json.dumps([*since(began), len(some)]))
        sys.stdout.flush()
        sys.exit()

    began = time.perf_counter(), time.process_time()
    nothing = mock.patch.multiple(
        launch,
        launch=stop,
        connected=lambda address: contextlib.nullcontext(),
        room=lambda *_: (lambda trial: {"CPU": 1.0}, {"CPU": 2.0}),
    )
    with nothing, mock.patch("orchestrator.mirroring.Mirroring.__exit__", return_value=None):
        ran = run(sweep(trials), storage)
    assert ran.statuses == {"ok": trials}, ran
    assert not ran.untracked, ran


def since(began: tuple[float, float]) -> list[float]:
    """Seconds, those of CPU, and the peak of memory."""
    return [time.perf_counter() - began[0], time.process_time() - began[1], peak_mb()]


STEPS: dict[str, Callable[[int, Path], None]] = {
    "plan, nothing known": plan,
    "(made-up records of half)": first_half,
    "(mirror them)": mirror,
    "plan, half done": plan,
    "resume, half done": resume,
    "(records of the other half)": second_half,
    "(mirror these)": mirror,
    "plan, all done": plan,
    "resume, all done": resume,
}


def one(step: str, trials: int, storage: Path, profiled: bool) -> None:
    """A step in this process: seconds, MB and 0 as JSON, unless it says so itself."""
    for module in ("orchestrator.driver", "orchestrator.launch", "mlflow", "pyarrow.parquet"):
        __import__(module)
    began, watch = (time.perf_counter(), time.process_time()), cProfile.Profile()
    try:
        (watch.runcall if profiled else lambda f, *a: f(*a))(STEPS[step], trials, storage)
        print(json.dumps([*since(began), 0]))
    finally:
        if profiled:
            pstats.Stats(watch, stream=sys.stderr).sort_stats("cumulative").print_stats(45)


def main() -> None:
    """Run every step for every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--scratch", type=Path, help="default: the system's")
    parser.add_argument("--profile", action="store_true", help="where the time goes, to stderr")
    parser.add_argument("--one", nargs=2, metavar=("STEP", "STORAGE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        return one(asked.one[0], asked.trials[0], Path(asked.one[1]), asked.profile)
    table = [["trials", "what", "seconds", "of CPU", "peak MB", "left to run"]]
    for trials in asked.trials:
        with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
            for step in STEPS:
                command = [sys.executable, __file__, "--trials", str(trials), "--one", step, folder]
                command += ["--profile"] * asked.profile
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(f"{step} failed:\n{done.stderr[-2000:]}")
                if asked.profile:
                    print(f"\n--- {step}, {trials:,}\n{done.stderr}", file=sys.stderr)
                seconds, cpu, peak, left = json.loads(done.stdout.splitlines()[-1])
                row = [f"{trials:,}", step, f"{seconds:.2f}", f"{cpu:.2f}", f"{peak:.0f}"]
                table.append([*row, f"{left:,}" if left else ""])
                print(" ".join(row), file=sys.stderr, flush=True)
    show("a sweep planned and taken up again", table)


if __name__ == "__main__":
    main()
