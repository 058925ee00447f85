"""CPU and memory of the driver for each handful, as ever more handfuls are handed out.

    uv run python benchmarks/driver.py [--handfuls 1000 10000 50000]

Every trial has its record before the run, so a worker finds it and is done at once. One trial is a
handful. The driver does for it what it does for any other: it deals, waits, and reads the record.
Peers are bare Ray tasks, as many, handed out by a driver that keeps four in flight. Each count and
kind is a process of its own on two CPUs. CPU is that of the driver's process, without its workers
and without the start of Ray. Growth is resident memory at the end, less that after the first
`WARM` handfuls.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import show

WARM = 200
"""Handfuls after which the driver's caches and pools have their size."""


class Meter:
    """CPU and resident memory of this process from its `WARM`-th handful on."""

    def __init__(self, handfuls: int) -> None:
        self.handfuls, self.done = handfuls, 0
        self.marks: list[tuple[float, float, float]] = []

    def count(self) -> None:
        """Count a handful that has ended."""
        self.done += 1
        if self.done in (WARM, self.handfuls):
            self.marks.append((time.process_time(), time.perf_counter(), rss_mb()))

    def result(self) -> dict[str, float]:
        """Milliseconds of CPU and of wall time a handful, growth in MB, and the last memory."""
        (cpu, wall, before), (cpu_end, wall_end, after) = self.marks
        n = self.handfuls - WARM
        return {
            "cpu_ms": (cpu_end - cpu) / n * 1e3,
            "wall_ms": (wall_end - wall) / n * 1e3,
            "grew_mb": after - before,
            "rss_mb": after,
        }


def rss_mb() -> float:
    """Resident memory of this process in MB (Linux only)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def driver(handfuls: int, folder: Path) -> dict[str, float]:
    """Handfuls that a sweep's driver hands out."""
    from orchestrator import dealing
    from orchestrator.costs import Costs
    from orchestrator.execute import Done, record_of
    from orchestrator.launch import connected, launch
    from orchestrator.records import Ledger
    from trainables.trial import Trial

    dealing.HANDFUL = dealing.LEAST = 0.0  # a trial a handful
    trials = [Trial("mean", "annotation", "toy", seed) for seed in range(handfuls)]
    ledger, meter = Ledger(folder), Meter(handfuls)
    for trial in trials:
        done = Done("ok", cost={"wall_s": 1.0, "cpu_s": 1.0}, metrics={"test/accuracy": 0.5})
        path = folder / "records" / trial.id[:2] / f"{trial.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record_of(trial, done, "benchmark")))
    assert ledger.settled(trials[0].id) is not None

    def watch(what: str, trial: Trial, record: object) -> None:
        if record is not None:
            meter.count()

    with connected():
        launch(
            trials,
            folder,
            code_version="benchmark",
            watch=watch,
            costs=Costs(),
            note=print,
        )
    assert meter.done == handfuls, meter.done
    return meter.result()


def tasks(handfuls: int, folder: Path) -> dict[str, float]:
    """Bare Ray tasks."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)

    @ray.remote
    def nothing(i: int) -> int:
        return i

    meter = Meter(handfuls)
    flying = [nothing.remote(i) for i in range(4)]
    for i in range(4, handfuls + 4):
        done, flying = ray.wait(flying, num_returns=1)
        ray.get(done)
        flying.append(nothing.remote(i))
        meter.count()
    ray.shutdown()
    return meter.result()


KINDS: dict[str, Callable[[int, Path], dict[str, float]]] = {"driver": driver, "tasks": tasks}


def measured(kind: str, handfuls: int) -> dict[str, float]:
    """The result of one kind and count, in a process of its own."""
    command = [sys.executable, __file__, "--one", kind, "--handfuls", str(handfuls)]
    env = {**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"{kind} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure each count and print CPU and memory a handful, and the ratio to bare tasks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--handfuls", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--one", help="measure this kind in this process")
    options = parser.parse_args()
    if min(options.handfuls) <= WARM:
        parser.error(f"--handfuls: more than {WARM}, which are run before the measurement")
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(KINDS[options.one](options.handfuls[0], Path(folder))))
        return
    table = [
        ["handfuls", "CPU ms", "of bare tasks", "ratio", "ms a handful", "growth MB", "RSS MB"]
    ]
    for handfuls in options.handfuls:
        mine, bare = measured("driver", handfuls), measured("tasks", handfuls)
        ratio = mine["cpu_ms"] / bare["cpu_ms"]
        table.append(
            [
                f"{handfuls:,}",
                *(f"{mine['cpu_ms']:.2f}", f"{bare['cpu_ms']:.2f}", f"{ratio:.1f}x"),
                *(f"{mine['wall_ms']:.1f}", f"{mine['grew_mb']:.0f}", f"{mine['rss_mb']:.0f}"),
            ]
        )
    show(f"the driver's CPU and memory a handful, load {os.getloadavg()[0]:.1f}", table)


if __name__ == "__main__":
    main()
