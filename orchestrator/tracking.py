"""The syncer: records -> MLflow runs, one run a trial, as often as one likes."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.mlflow_tables import Told, known, tables_of, write_new
from orchestrator.records import SETTLED, Ledger, Record, about, read_manifest, slug
from trainables.leases import waited_for

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow reads these when it is imported, which Ray may do before us.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # an outage must not hang us

KIND = "custom_model_development"
"""MLflow's word for experiments with metrics and models, so that it opens on the right page."""
ROW, METRICS = "gauntlet.row", "gauntlet.metrics"
"""Tags of a run: its row of the tidy table as JSON, and the names of the record's own metrics."""
TRIALS = "gauntlet.trials"
"""Tags of an experiment, numbered: the ids of the sweep's trials in their order, one after another.
A sweep that is planned anew may leave trials out; their runs stay, and are not in its table."""
ID, LONGEST_TAG, MOST_AT_ONCE = 16, 4800, 900
REST = 5
"""So many times as long as a pass took, the next one waits."""
ENDED = {"ok": "FINISHED", "not_applicable": "FINISHED", "pruned": "KILLED"}


def default_uri(storage: Path) -> str:
    """The tracking database inside a storage folder."""
    return f"sqlite:///{(storage / 'mlflow.db').resolve()}"


@dataclass
class Syncer:
    """Mirrors the records of one sweep into the MLflow experiment of the same name.

    Idempotent: runs are found by their `trial_id` tag, and a run that an interrupted sync left
    half-written is written again. Only the driver (or `gauntlet sync`) talks to MLflow, so an
    outage neither slows nor fails a trial.
    """

    storage: Path
    sweep: str
    tracking_uri: str | None = None
    mirrored: dict[str, str] = field(default_factory=dict)
    """trial_id -> the status that MLflow shows."""

    def sync(self) -> int:
        """Mirror what is new; the number of runs written. Raises what MLflow raises.

        Syncers of one sweep take turns: MLflow itself would keep two runs of one trial.
        """
        with waited_for(self.storage / "leases", f"mlflow of {slug(self.sweep)}"):
            return self.sync_alone()

    def sync_alone(self) -> int:
        """The same, when no other syncer of this sweep is at work."""
        client = self.client()
        manifest = read_manifest(self.storage, self.sweep)
        # what MLflow shows of a settled trial stands, so its record need not be read again
        open_trials = [i for i in manifest["trials"] if self.mirrored.get(i) not in SETTLED]
        new = [
            record
            for record in Ledger(self.storage).current(open_trials)
            if self.mirrored.get(record["trial_id"]) != record["status"]
        ]
        if not new:
            return 0
        experiment = self.experiment(client, manifest)
        self.tell_trials(client, experiment, manifest["trials"])
        rows = {r["trial_id"]: about(r, self.sweep, manifest["trials"]) for r in new}
        old = self.write_new(client, experiment, new, rows)
        present = runs_by_trial(client, experiment) if old else {}
        for record in old:
            run, row = present.get(record["trial_id"]), rows[record["trial_id"]]
            if run is None or not shows(run, record, row):
                self.write(client, experiment, record, run, row)
        self.mirrored |= {record["trial_id"]: record["status"] for record in new}
        return len(new)

    def write_new(
        self, client: MlflowClient, experiment: str, records: list[Record], rows: dict[str, Any]
    ) -> list[Record]:
        """Write many runs at once where MLflow is a database; the records that this left out."""
        engine = tables_of(client, experiment)
        if engine is None:
            return records
        there = known(engine, experiment, rows)
        new = [record for record in records if record["trial_id"] not in there]
        told = [self.told(record, rows[record["trial_id"]]) for record in new]
        write_new(client, engine, experiment, told)
        return [record for record in records if record["trial_id"] in there]

    def told(self, record: Record, row: dict[str, Any]) -> Told:
        """A record as a run of MLflow's."""
        trial = record["trial"]
        steps = enumerate([*record["history"], record["metrics"]])
        kept = self.storage / "artifacts" / record["trial_id"]
        files = [path for path in kept.rglob("*") if path.is_file()]
        return Told(
            name=run_name(record),
            started=millis(record["started_at"]),
            ended=millis(record["ended_at"]),
            status=ENDED.get(record["status"], "FAILED"),
            tags=tags_of(record, self.sweep)
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

    def client(self) -> MlflowClient:
        """A client of the tracking store, which it creates on first use."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri or default_uri(self.storage))

    def experiment(self, client: MlflowClient, manifest: dict[str, Any]) -> str:
        """The id of the sweep's experiment, made on first use."""
        known = client.get_experiment_by_name(self.sweep)
        if known is not None:
            return known.experiment_id
        tags = {"mlflow.note.content": manifest["title"], "mlflow.experimentKind": KIND}
        if self.tracking_uri:  # a server decides for itself where artifacts go
            return client.create_experiment(self.sweep, tags=tags)
        forget_default(client)
        place = (self.storage / "mlflow-artifacts").resolve().as_uri()
        return client.create_experiment(self.sweep, artifact_location=place, tags=tags)

    def tell_trials(self, client: MlflowClient, experiment: str, trials: Iterable[str]) -> None:
        """Say which trials are the sweep's, where that is not said already."""
        ids = "".join(trials)
        parts = [ids[i : i + LONGEST_TAG] for i in range(0, len(ids), LONGEST_TAG)]
        wanted = {f"{TRIALS}.{n}": part for n, part in enumerate(parts)} | {TRIALS: str(len(parts))}
        known = client.get_experiment(experiment).tags
        for key, value in wanted.items():
            if known.get(key) != value:
                client.set_experiment_tag(experiment, key, value)

    def write(
        self,
        client: MlflowClient,
        experiment: str,
        record: Record,
        run: Run | None,
        row: dict[str, Any],
    ) -> None:
        """One run: tags first, so that it can be found again; its end last, so that a run which
        looks ended is whole. The record's metrics come a step after the last epoch's, so that
        what MLflow shows as a run's metrics is what the record says."""
        from mlflow.entities import Metric, Param, RunTag

        told = self.told(record, row)
        if run is None:
            first = tags_of(record, self.sweep)
            run = client.create_run(experiment, told.started, first, told.name)
        run_id = run.info.run_id
        metrics = [Metric(key, value, told.ended, step) for key, value, step in told.metrics]
        params = [Param(key, value) for key, value in told.params.items()]
        client.log_batch(run_id, [], params, [RunTag(k, v) for k, v in told.tags.items()])
        for i in range(0, len(metrics), MOST_AT_ONCE):
            client.log_batch(run_id, metrics[i : i + MOST_AT_ONCE])
        client.log_inputs(run_id, datasets=[dataset_of(told)])
        self.write_artifacts(client, run_id, record)
        client.set_terminated(run_id, told.status, told.ended)

    def write_artifacts(self, client: MlflowClient, run_id: str, record: Record) -> None:
        """The trial spelled out, and everything it saved."""
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "config.json"
            config.write_text(json.dumps(record["trial"], indent=1))
            client.log_artifact(run_id, str(config))
        kept = self.storage / "artifacts" / record["trial_id"]
        if kept.exists():
            client.log_artifacts(run_id, str(kept))


def forget_default(client: MlflowClient) -> None:
    """Hide the empty experiment that every new MLflow database begins with."""
    default = client.get_experiment_by_name("Default")
    empty = default and not client.search_runs([default.experiment_id], max_results=1)
    if default and empty and default.lifecycle_stage == "active":
        client.delete_experiment(default.experiment_id)


def runs_by_trial(client: MlflowClient, experiment: str) -> dict[str, Run]:
    """Every run of the experiment by its `trial_id` tag."""
    found: dict[str, Run] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found |= {r.data.tags["trial_id"]: r for r in page if "trial_id" in r.data.tags}
        token = page.token
        if not token:
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
        runs = runs_by_trial(client, there[name].experiment_id)
        for trial_id in trials_of(there[name].tags):
            if (run := runs.get(trial_id)) is not None and run.info.status != "RUNNING":
                yield row_of(run)


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
    return json.loads(tags[ROW]), {m: run.data.metrics[m] for m in json.loads(tags[METRICS])}


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


class Mirroring:
    """A syncer on a thread of its own, for as long as a sweep runs.

    `trouble` holds the last error in one line, or "" once everything is mirrored.
    """

    def __init__(self, syncer: Syncer, every: float = 3.0):
        self.syncer, self.every, self.trouble = syncer, every, ""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.keep_up, daemon=True)

    def __enter__(self) -> Mirroring:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.once()

    def keep_up(self) -> None:
        pause = self.every
        while not self.over.wait(pause):
            began = time.monotonic()
            self.once()
            # a look at many runs comes seldom, so that looking takes a small part of the time
            pause = max(self.every, REST * (time.monotonic() - began))

    def once(self) -> None:
        """One pass. An outage is remembered in words; the next pass tries everything again."""
        try:
            self.syncer.sync()
            self.trouble = ""
        except Exception as error:  # noqa: BLE001  a tracking server's failure is not the sweep's
            self.trouble = str(error).strip().split("\n")[0] or type(error).__name__


def sync_all(storage: Path, sweeps: Iterable[str], tracking_uri: str | None) -> dict[str, int]:
    """Mirror several sweeps; runs written by sweep."""
    return {name: Syncer(storage, name, tracking_uri).sync() for name in sweeps}
