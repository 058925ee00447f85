"""What an MLflow run says of a trial: made of its record, and read back as its row of the table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.declared import better, drawn_before
from orchestrator.mlflow_tables import Told
from orchestrator.records import Record
from orchestrator.storage import fresh
from trainables.paths import below

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow reads these when it is imported, which Ray may do before us.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # what fails we say ourselves
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a run
# An outage must not hang us. And a request whose reply was lost must not be sent again unseen, for
# MLflow would start a second run: the next pass looks first at what is there.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

ROW, METRICS = "gauntlet.row", "gauntlet.metrics"
"""Tags of a run: its row of the tidy table as JSON, and the names of the record's own metrics."""
TRIALS = "gauntlet.trials"
"""Tags of an experiment, numbered: the ids of the sweep's trials in their order, one after another.
A sweep that is planned anew may leave trials out; their runs stay, and are not in its table."""
ID = 16
ENDED = {"ok": "FINISHED", "not_applicable": "FINISHED", "pruned": "KILLED"}


def as_run(storage: Path, sweep: str, record: Record, row: dict[str, Any]) -> Told:
    """A record as a run of MLflow's."""
    trial = record["trial"]
    steps = enumerate([*record["history"], record["metrics"]])
    kept = below(storage / "artifacts", record["trial_id"])
    fresh(storage, f"artifacts/{record['trial_id']}/")
    # a link could show a file of whoever mirrors
    files = [path for path in kept.rglob("*") if path.is_file() and not path.is_symlink()]
    return Told(
        name=run_name(record),
        started=millis(record["started_at"]),
        ended=millis(record["ended_at"]),
        status=ENDED.get(record["status"], "FAILED"),
        tags=tags_of(record, sweep)
        | {ROW: json.dumps(row), METRICS: json.dumps(list(record["metrics"]))},
        params={key: str(value) for key, value in params_of(record).items()},
        metrics=[(key, float(v), step) for step, d in steps for key, v in d.items()],
        dataset={
            "name": trial["dataset"],
            "digest": trial["dataset_sha256"][:36],
            "source_type": "gauntlet",
            "source": json.dumps({"sha256": trial["dataset_sha256"]}),
        },
        artifacts={
            "config.json": json.dumps(trial, indent=1),
            **{str(path.relative_to(kept)): path for path in files},
        },
    )


def run_name(record: Record) -> str:
    """Such as `logreg-pbmc68k_reduced-f0.10-s3`."""
    trial = record["trial"]
    share = f"f{trial['task_params']['fraction']:.2f}"
    return f"{trial['model']}-{trial['dataset']}-{share}-s{trial['seed']}"


def tags_of(record: Record, sweep: str) -> dict[str, str]:
    """What runs are searched by."""
    trial = record["trial"]
    tags = {
        **{key: trial[key] for key in ("model", "model_version", "task", "dataset", "seed")},
        "fraction": trial["task_params"]["fraction"],
        "trial_id": record["trial_id"],
        "status": record["status"],
        "sweep": sweep,
        "code_version": record["code_version"],
        "hostname": record["hostname"],
        "mlflow.source.name": f"gauntlet run {sweep}",
        "mlflow.source.type": "JOB",
    }
    if record["reason"]:
        tags["reason"] = record["reason"]
    return {key: str(value) for key, value in tags.items()}


def params_of(record: Record) -> dict[str, Any]:
    """Hyperparameters by name, the task's under `task.`, and what else was chosen."""
    trial = record["trial"]
    return {
        **trial["model_params"],
        **{f"task.{key}": value for key, value in trial["task_params"].items()},
        "model": trial["model"],
        "dataset": trial["dataset"],
        "seed": trial["seed"],
    }


def dataset_of(told: Told) -> Any:
    """The data set as MLflow's own kind of input."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return DatasetInput(Dataset(**told.dataset), [InputTag("mlflow.data.context", "evaluation")])


def millis(moment: str) -> int:
    """An ISO time as MLflow's milliseconds."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


# ---- found again ------------------------------------------------------------------------------


def all_runs(client: MlflowClient, experiment: str, where: str = "") -> dict[str, list[Run]]:
    """The runs of each trial of the experiment, by their `trial_id` tag, whole ones first."""
    found: dict[str, list[Run]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], where, max_results=1000, page_token=token)
        for run in page:
            if (trial_id := run.data.tags.get("trial_id")) is not None:
                found.setdefault(trial_id, []).append(run)
        token = page.token
        if not token:
            break
    for runs in found.values():
        runs.sort(key=lambda run: (run.info.status == "RUNNING", run.info.run_id))
    return found


FEW = 30
"""Trials whose runs are looked for one by one: to page through all takes a millisecond for each."""


def runs_for(client: MlflowClient, experiment: str, trials: set[str]) -> dict[str, list[Run]]:
    """The runs of some trials, whole ones first."""
    if len(trials) > FEW:
        return all_runs(client, experiment)
    found: dict[str, list[Run]] = {}
    for trial in trials:
        found |= all_runs(client, experiment, f"tags.trial_id = '{trial}'")
    return found


def shows(run: Run, record: Record, row: dict[str, Any]) -> bool:
    """Whether a run is whole and tells of this outcome, and of it as the sweep now tells it."""
    tags = run.data.tags
    told = tags.get("status") == record["status"] and tags.get(ROW) == json.dumps(row)
    return run.info.status != "RUNNING" and told


# ---- and back: the tidy table from MLflow alone ------------------------------------------------


def mirrored(
    tracking_uri: str, sweep: str | None
) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """Each trial of one sweep, or of all, that an MLflow server or file has: what its rows of the
    tidy table share, and its metrics.

    Raises LookupError for a sweep that was never mirrored there, and ValueError where runs were
    mirrored before rows were: `gauntlet sync` mends that.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    there = {e.name: e for e in client.search_experiments(max_results=1000) if TRIALS in e.tags}
    if sweep is not None and sweep not in there:
        from trainables.catalog import unknown

        raise LookupError(f"{tracking_uri} has {unknown('sweep', sweep, sorted(there))}")
    for name in [sweep] if sweep is not None else sorted(there):
        runs = all_runs(client, there[name].experiment_id)
        for trial_id in trials_of(there[name].tags):
            some = runs.get(trial_id, [])
            if some and some[0].info.status != "RUNNING":
                yield row_of(some[0])


def trials_of(tags: Mapping[str, str]) -> list[str]:
    """The trials that an experiment's tags name, in their order."""
    ids = "".join(tags[f"{TRIALS}.{n}"] for n in range(int(tags[TRIALS])))
    return [ids[i : i + ID] for i in range(0, len(ids), ID)]


def row_of(run: Run) -> tuple[dict[str, Any], dict[str, float]]:
    """What was mirrored of one trial."""
    tags = run.data.tags
    if ROW not in tags:
        raise ValueError(
            f"the run {run.info.run_name} was mirrored by an older version, without its row of the"
            " table: run `gauntlet sync` where the records are"
        )
    try:
        row = dict(json.loads(tags[ROW]))
        metrics = {m: run.data.metrics[m] for m in json.loads(tags.get(METRICS, "[]"))}
        if "design" not in row:  # mirrored before tasks declared it
            row |= drawn_before(row["task"], row["protocol"])
            row["better"] = json.dumps(better(row["task"], metrics))
    except (ValueError, KeyError, TypeError):
        keys = ("sweep", "trial_id", "model", "task", "dataset")
        row = {key: tags.get(key, "") for key in keys}
        reason = f"the run {run.info.run_name} has damaged tags: delete it and run `gauntlet sync`"
        return row | {"status": "damaged", "reason": reason}, {}
    return row, metrics
