"""One worker against two: real short trials of logistic regression, a core each.

    uv run python benchmarks/scaling.py [--trials 240] [--cells 3000] [--genes 1000] [--workers 1 2]

Each number of workers is the same sweep in a process and a storage of its own: settings by seeds on
generated cells, the whole path with records, artifacts and MLflow. Time is from the first trial's
start to the last one's end, so that starting Ray and a worker's first imports are left out, and the
wait for a second worker's is not. Busy is the CPU time of the workers' processes over that time, of
the cores that they were given; overhead is the share of the workers' time that no trial's clock
ran: dealing out, records, artifacts. The driver's own CPU time over the same time, of one core, is
shown beside (MLflow with it, Ray's servers without). Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from common import show

from orchestrator.sweep import Sweep
from search_spaces.spaces import grid
from trainables.datasets.toy import Toy

SETTINGS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def sweep(trials: int, cells: int, genes: int) -> Sweep:
    """So many trials, each with a C of its own, so that none is spared by another's work."""
    toy = Toy(n_cells=cells, n_genes=genes, n_types=8, n_batches=4, name="scaling", summary="toy")
    return Sweep(
        title="scaling",
        task="annotation",
        models={"logreg": {"C": grid(SETTINGS)}},
        datasets=[toy],
        seeds=range(-(-trials // len(SETTINGS))),
        name="scaling",
    )


def one(asked: argparse.Namespace, workers: int, storage: Path) -> dict[str, float]:
    """Run it in this process, and look at the workers' CPU time meanwhile."""
    from orchestrator.driver import run
    from orchestrator.records import Ledger

    design, over = sweep(asked.trials, asked.cells, asked.genes), threading.Event()
    theirs: list[tuple[float, float]] = []
    own: list[tuple[float, float]] = []

    def look() -> None:
        while not over.wait(0.1):
            theirs.append((time.time(), workers_cpu(os.getpid())))
            own.append((time.time(), time.process_time()))

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    every = workers == (os.cpu_count() or 1)  # as it comes: a handful waits for each worker
    ran = run(design, storage, max_concurrent=None if every else workers)
    over.set()
    watching.join()
    assert set(ran.statuses) == {"ok"}, ran
    ledger = Ledger(storage)
    records = ledger.current(ledger.settled_ids())
    first, last = (
        pick(datetime.fromisoformat(record[key]).timestamp() for record in records)
        for key, pick in (("started_at", min), ("ended_at", max))
    )
    wall = last - first
    return {
        "trials": len(records),
        "seconds": wall,
        "busy": (at(theirs, last) - at(theirs, first)) / (wall * workers),
        "overhead": 1 - sum(r["cost"]["wall_s"] for r in records) / (wall * workers),
        "trial_s": sum(r["cost"]["wall_s"] for r in records) / len(records),
        "driver": (at(own, last) - at(own, first)) / wall,
    }


def workers_cpu(root: int) -> float:
    """Seconds of CPU of all of Ray's workers below a process."""
    below, parents, spent = {root}, {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        words, pid = tail.split(), int(path.parent.name)
        parents[pid] = int(words[1])
        if "(ray::" in head:
            spent[pid] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    for pid in sorted(parents):
        if parents[pid] in below:
            below.add(pid)
    return sum(seconds for pid, seconds in spent.items() if pid in below)


def at(seen: list[tuple[float, float]], moment: float) -> float:
    """What was seen at a moment, between two looks by proportion."""
    for (before, low), (after, high) in pairwise(seen):
        if before <= moment <= after:
            return low + (high - low) * (moment - before) / (after - before)
    return seen[-1][1]


def main() -> None:
    """Run with each number of workers and print seconds, ratios and shares."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=240)
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--one", nargs=2, metavar=("WORKERS", "STORAGE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked, int(asked.one[0]), Path(asked.one[1]))))
        return
    table = [["workers", "trials", "s a trial", "seconds", "ratio", "busy", "overhead", "driver"]]
    alone = 0.0
    for workers in asked.workers:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--one", str(workers), folder]
            for name in ("trials", "cells", "genes"):
                command += [f"--{name}", str(getattr(asked, name))]
            env = {**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise SystemExit(f"{workers} workers failed:\n{done.stderr[-2000:]}")
        went = json.loads(done.stdout.splitlines()[-1])
        alone = alone or went["seconds"]
        row = [workers, went["trials"], f"{went['trial_s']:.3f}", f"{went['seconds']:.1f}"]
        row += [f"{alone / went['seconds']:.2f}x"]
        row += [f"{went[share]:.1%}" for share in ("busy", "overhead", "driver")]
        table.append([str(cell) for cell in row])
    show(f"logistic regression, a core each, load {os.getloadavg()[0]:.1f}", table)


if __name__ == "__main__":
    main()
