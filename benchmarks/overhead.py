"""What a trial costs beside its work: no-op trials through the whole path, against plain Ray Tune.

    uv run python benchmarks/overhead.py [--trials 400]

Ours is a sweep whose model answers at once: split, scores, artifacts, a record and an MLflow run
for each trial; the comparison and the report are left out. The peers do nothing in their trials:
bare Ray tasks (the floor), Tune with `reuse_actors` and its MLflow callback, and Tune as it
comes, a new process a trial. Each is a process of its own on two CPUs; starting and
ending Ray are left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from common import show

MODEL = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

@dataclass(frozen=True)
class NoOp:
    card: ClassVar = Card(summary="answers at once")
    def fit_predict(self, train, valid, test, ctx):
        return Predictions(test=np.full(test.n_obs, "type 0"), valid=np.full(valid.n_obs, "type 0"))
"""


def ours(trials: int, folder: Path) -> float:
    """Seconds from the first trial's start to the last one's record and MLflow run."""
    from datetime import datetime

    from orchestrator.driver import run
    from orchestrator.launch import connected
    from orchestrator.records import Ledger
    from orchestrator.sweep import Sweep

    def sweep(seeds: range) -> Sweep:
        models = {"noop": {}}
        return Sweep(title="no-op", task="annotation", datasets=["toy"], models=models, seeds=seeds)

    with connected():
        ran = run(sweep(range(trials)), folder)
        ended = time.time()
    assert ran.statuses == {"ok": trials}, ran
    ledger = Ledger(folder)
    started = [ledger.last(i)["started_at"] for i in ledger.settled_ids()]  # type: ignore[index]
    return ended - min(datetime.fromisoformat(moment).timestamp() for moment in started)


def tasks(trials: int, folder: Path) -> float:
    """Bare Ray tasks."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)

    @ray.remote
    def nothing(i: int) -> int:
        return i

    ray.get([nothing.remote(i) for i in range(8)])
    begun = time.perf_counter()
    ray.get([nothing.remote(i) for i in range(trials)])
    return time.perf_counter() - begun


def tune_of(trials: int, folder: Path, *, reuse: bool) -> float:
    """Ray Tune over a grid; with `reuse` its MLflow callback too."""
    import ray
    from ray import tune

    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR)
    callbacks: Any = []
    if reuse:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        uri = f"sqlite:///{folder / 'mlflow.db'}"
        callbacks = [MLflowLoggerCallback(tracking_uri=uri, experiment_name="no-op")]
    tuner = tune.Tuner(
        lambda config: tune.report({"score": config["i"]}),
        param_space={"i": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=reuse),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"), verbose=0, callbacks=callbacks
        ),
    )
    begun = time.perf_counter()
    tuner.fit()
    return time.perf_counter() - begun


KINDS = {
    "bare Ray tasks": tasks,
    "ours, whole path": ours,
    "Tune, actors reused, MLflow callback": lambda n, f: tune_of(n, f, reuse=True),
    "Tune as it comes": lambda n, f: tune_of(n, f, reuse=False),
}
FEWER = {"Tune, actors reused, MLflow callback": 4, "Tune as it comes": 20}
"""A trial of theirs takes so long that a share of the trials has to do."""


def measured(kind: str, trials: int) -> float:
    """Trials a second, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        info = site / "noop-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "noop_model.py").write_text(textwrap.dedent(MODEL))
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noop\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[gauntlet.models]\nnoop = noop_model:NoOp\n")
        command = [sys.executable, __file__, "--one", kind, "--trials", str(trials)]
        env = {**os.environ, "PYTHONPATH": str(site), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise SystemExit(f"{kind} failed:\n{done.stderr[-2000:]}")
        return trials / json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure each kind and print trials a second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--one", help="measure this kind in this process")
    asked = parser.parse_args()
    if asked.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(KINDS[asked.one](asked.trials, Path(folder))))
        return
    rates = {k: measured(k, max(20, asked.trials // FEWER.get(k, 1))) for k in KINDS}
    mine = rates["ours, whole path"]
    table = [["what", "trials/s", "ours to it"]]
    table += [[kind, f"{rate:.1f}", f"{mine / rate:.2f}x"] for kind, rate in rates.items()]
    show(f"no-op trials on 2 CPUs, load {os.getloadavg()[0]:.1f}", table)


if __name__ == "__main__":
    main()
