"""Asking for results: a filter and a pivot, by `results()` and by `mlflow.search_runs`.

Made-up trials of 20 metrics, written by the ledger's own writer (without waiting for the disk) and
put into MLflow's SQLite tables with the content that the syncer gives them. Both sides answer the
same question in a fresh process: the mean test/macro_f1 of each model and label share below 1.
Seconds are of the answer, imports left out; memory is the peak RSS of the process, imports
included.

    uv run python benchmarks/query.py [--trials 10000] [--many 100000] [--scratch DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from orchestrator.execute import Done, record_of
from orchestrator.manifests import read_manifest, write_manifest
from orchestrator.mlflow_runs import METRICS, ROW, TRIALS, params_of, tags_of
from orchestrator.records import Ledger, Record, now
from orchestrator.rows import about
from orchestrator.tracking import default_uri
from trainables.trial import Trial

SWEEP = "made-up"
MODELS = ("logreg", "pca+probe", "mean", "scgpt", "scbert")
FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0)
SCORES = ("macro_f1", "accuracy", "macro_precision", "macro_recall")
MORE = tuple(f"extra_{i}" for i in range(6))
NAMES = [f"{part}/{name}" for part in ("test", "valid") for name in (*SCORES, *MORE)]

OURS = """
import sys, time
import pandas, pyarrow.parquet, duckdb
from analysis import results
from orchestrator import compact
began = time.perf_counter()
table = results({sweep!r}, sys.argv[1], where="metric = 'test/macro_f1' and fraction < 1")
told = table.pivot_table(index="model", columns="fraction", values="value")
"""
WHOLE = """
import sys, time
import pandas, pyarrow.parquet, duckdb
from analysis import results
from orchestrator import compact
began = time.perf_counter()
table = results({sweep!r}, sys.argv[1])
some = table[(table["metric"] == "test/macro_f1") & (table["fraction"] < 1)]
told = some.pivot_table(index="model", columns="fraction", values="value")
"""
PEER = """
import sys, time
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[2])
mlflow.get_experiment_by_name({sweep!r})
began = time.perf_counter()
runs = mlflow.search_runs(
    experiment_names=[{sweep!r}], filter_string="tags.fraction != '1.0'", max_results=10**6
)
runs["fraction"] = runs["tags.fraction"].astype(float)
told = runs.pivot_table(index="tags.model", columns="fraction", values="metrics.test/macro_f1")
"""
AFTER = """
seconds = time.perf_counter() - began
import json
from pathlib import Path
peak = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
print(json.dumps([seconds, int(peak.split()[1]) / 1024, told.round(9).to_numpy().tolist()]))
"""


def main() -> None:
    asked = arguments()
    with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        print(f"{'':44}{'seconds':>9}{'peak MB':>9}")
        write(few, asked.trials)
        into_mlflow(few)
        first = shown(f"{asked.trials:,} trials, ours, the first time", OURS, few)
        ours = min(shown(f"{asked.trials:,} trials, ours", OURS, few)[0] for _ in range(3))
        peer = shown(f"{asked.trials:,} trials, the peer (mlflow.search_runs)", PEER, few)
        assert np.allclose(first[2], peer[2]), "the two tell of different results"
        print(f"ratio {peer[0] / ours:.0f}x")
        write(many, asked.many)
        shown(f"{asked.many:,} trials, ours, the first time", OURS, many)
        for _ in range(3):
            shown(f"{asked.many:,} trials, ours", OURS, many)
        shown(f"{asked.many:,} trials, ours, the whole table", WHOLE, many)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--scratch", type=Path, help="default: the system's")
    return parser.parse_args()


def shown(name: str, code: str, storage: Path) -> tuple[float, float, list[list[float]]]:
    """Run a question in a process of its own; its seconds, peak memory and answer."""
    command = [sys.executable, "-c", code.format(sweep=SWEEP) + AFTER, str(storage)]
    command.append(default_uri(storage))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    seconds, peak, answer = json.loads(done.stdout.splitlines()[-1])
    print(f"{name:44}{seconds:9.2f}{peak:9.0f}", flush=True)
    return seconds, peak, answer


def write(storage: Path, n: int) -> None:
    """The records of a sweep of n trials, and its manifest."""
    rng = np.random.default_rng(0)
    seeds = -(-n // (len(MODELS) * len(FRACTIONS)))
    design = [(m, f, s) for s in range(seeds) for f in FRACTIONS for m in MODELS][:n]
    template: Record = record_of(
        Trial("logreg", "annotation", "pbmc68k_reduced", 0, dataset_sha256="0" * 64),
        Done(protocol="random 70%/10%/20%", metrics={"n_train": 560, "n_eval": 140}),
        "0.1.0",
    )
    ledger, specs = Ledger(storage), {}
    with mock.patch("os.fsync"):
        for at, (model, fraction, seed) in enumerate(design):
            trial = template["trial"] | {"model": model, "seed": seed}
            trial["task_params"] = trial["task_params"] | {"fraction": fraction}
            name = f"{at * 0x9E3779B97F4A7C15 % 2**64:016x}"
            values = rng.normal(0.7 + 0.1 * fraction, 0.02, len(NAMES)).tolist()
            made = {
                "trial_id": name,
                "trial": trial,
                "metrics": dict(zip(NAMES, values, strict=True)),
            }
            cost = {key: round(rng.uniform(1, 9), 4) for key in template["cost"]}
            ledger.commit(template | made | {"cost": cost, "started_at": now(), "ended_at": now()})
            specs[name] = {"model": model, "dataset": "pbmc68k_reduced", "seed": seed,
                           "fraction": fraction, "model_params": {}, "arm": ""}  # fmt: skip
    write_manifest(
        storage, {"sweep": SWEEP, "title": "made up", "created_at": now(), "trials": specs}
    )


def into_mlflow(storage: Path) -> None:
    """The runs that `gauntlet sync` would write, straight into the tables: one call a run takes
    longer than the rest of this benchmark."""
    from mlflow import MlflowClient
    from mlflow.store.tracking.dbmodels import models as db
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    uri = default_uri(storage)
    trials = read_manifest(storage, SWEEP)["trials"]
    experiment = MlflowClient(uri).create_experiment(SWEEP, tags={TRIALS: "0"})
    with Session(create_engine(uri)) as session:
        for at, record in enumerate(Ledger(storage).current(trials)):
            run, moment = f"{at:032x}", 1_700_000_000_000 + at
            tags = tags_of(record, SWEEP) | {ROW: json.dumps(about(record, SWEEP, trials))}
            tags |= {METRICS: json.dumps(list(record["metrics"])), "mlflow.runName": run}
            session.add(db.SqlRun(run_uuid=run, name=run, experiment_id=int(experiment),
                                  lifecycle_stage="active", status="FINISHED", source_type="JOB",
                                  start_time=moment, end_time=moment, user_id=""))  # fmt: skip
            session.add_all(db.SqlTag(run_uuid=run, key=k, value=v) for k, v in tags.items())
            params = params_of(record).items()
            session.add_all(db.SqlParam(run_uuid=run, key=k, value=str(v)) for k, v in params)
            for key, value in record["metrics"].items():
                number = {"run_uuid": run, "key": key, "value": value, "timestamp": moment}
                number |= {"step": 0, "is_nan": False}
                session.add(db.SqlMetric(**number))
                session.add(db.SqlLatestMetric(**number))
            if at % 1000 == 999:
                session.commit()
        session.commit()


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    main()
