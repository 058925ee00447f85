"""The syncer: records -> MLflow runs, one run a trial, as often as one likes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.compact import SHARED, compacted
from orchestrator.manifests import read_manifest, slug
from orchestrator.mlflow_runs import (
    ROW,
    TRIALS,
    as_run,
    dataset_of,
    millis,
    runs_for,
    shows,
    tags_of,
)
from orchestrator.mlflow_tables import (
    ARTIFACTS,
    Told,
    bring_home,
    known,
    runs_of,
    tables_of,
    told_by,
    write_new,
)
from orchestrator.records import Ledger, Record
from orchestrator.rows import about
from orchestrator.storage import leases
from trainables.leases import waited_for

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KIND = "custom_model_development"
"""MLflow's word for experiments with metrics and models, so that it opens on the right page."""
LONGEST_TAG, MOST_AT_ONCE = 4800, 900


def default_uri(storage: Path) -> str:
    """The tracking database inside a storage folder."""
    return f"sqlite:///{(storage / 'mlflow.db').resolve()}"


def artifacts_of(storage: Path) -> str:
    """Address of the artifacts of that database."""
    return (storage / ARTIFACTS).resolve().as_uri()


@dataclass
class Syncer:
    """Mirrors the records of one sweep into the MLflow experiment of the same name.

    Idempotent: runs are found by their `trial_id` tag, and a run that an interrupted sync left
    half-written is written again. A run of an earlier attempt is deleted, with its reason, epochs
    and times; so is one of two of one trial, which a server comes to that does what it is asked
    after we gave it up. Only the driver (or `gauntlet sync`) talks to
    MLflow, so an outage neither slows nor fails a trial.
    """

    storage: Path
    sweep: str
    tracking_uri: str | None = None
    mirrored: dict[str, tuple[str, str]] = field(default_factory=dict)
    """trial_id -> the attempt that MLflow shows."""

    def sync(self) -> int:
        """Mirror what is new; the number of runs written. Raises what MLflow raises.

        Syncers of one sweep take turns: MLflow itself would keep two runs of one trial.
        """
        with waited_for(leases(self.storage), f"mlflow of {slug(self.sweep)}"):
            return self.sync_alone()

    def sync_alone(self) -> int:
        """The same, when no other syncer of this sweep is at work."""
        client = self.client()
        manifest = read_manifest(self.storage, self.sweep)
        if not self.mirrored:
            self.mirrored |= self.shown_already(client, manifest["trials"])
        # what MLflow shows of a trial that went well stands, so its record need not be read again
        open_trials = [i for i in manifest["trials"] if self.mirrored.get(i, ("",))[0] != "ok"]
        written, experiment = 0, ""
        for records in Ledger(self.storage).in_parts(open_trials):
            new = [r for r in records if self.mirrored.get(r["trial_id"]) != attempt_of(r)]
            if new and not experiment:
                experiment = self.experiment(client, manifest)
                self.tell_trials(client, experiment, manifest["trials"])
            if new:
                self.mirror(client, experiment, manifest["trials"], new)
            written += len(new)
        return written

    def mirror(
        self, client: MlflowClient, experiment: str, trials: dict[str, Any], new: list[Record]
    ) -> None:
        """Write the runs of some records that MLflow does not show, or not as they are now."""
        rows = {r["trial_id"]: about(r, self.sweep, trials) for r in new}
        old = self.write_new(client, experiment, new, rows)
        left = {record["trial_id"] for record in old}
        self.mirrored |= {r["trial_id"]: attempt_of(r) for r in new if r["trial_id"] not in left}
        present = runs_for(client, experiment, left)
        for record in old:
            runs, row = present.get(record["trial_id"], []), rows[record["trial_id"]]
            began = millis(record["started_at"])
            run = next((run for run in runs if run.info.start_time == began), None)
            for other in runs:
                if other is not run:
                    client.delete_run(other.info.run_id)
            if run is None or not shows(run, record, row):
                self.write(client, experiment, record, run, row)
            self.mirrored[record["trial_id"]] = attempt_of(record)

    def shown_already(
        self, client: MlflowClient, trials: Iterable[str]
    ) -> dict[str, tuple[str, str]]:
        """The trials that an MLflow database shows as it should, so that no record need be read."""
        experiment = client.get_experiment_by_name(self.sweep)
        engine = experiment and tables_of(client, experiment.experiment_id)
        if engine is None or experiment is None:
            return {}
        ended = {
            trial: runs[0][0]
            for trial, runs in runs_of(engine, experiment.experiment_id).items()
            if len(runs) == 1 and runs[0][1] != "RUNNING"
        }
        if not ended:
            return {}
        self.tell_trials(client, experiment.experiment_id, trials)  # the sweep may have fewer now
        shown = {}
        for some in compacted(self.storage, self.sweep).select(SHARED).to_batches(MOST_AT_ONCE):
            rows = {row["trial_id"]: row for row in some.to_pylist() if row["trial_id"] in ended}
            tags = told_by(engine, [ended[trial] for trial in rows], ["status", ROW])
            for trial, row in rows.items():
                told = tags.get(ended[trial], {})
                if told.get("status") == row["status"] and json.loads(told.get(ROW, "0")) == row:
                    shown[trial] = attempt_of(row)
        return shown

    def write_new(
        self, client: MlflowClient, experiment: str, records: list[Record], rows: dict[str, Any]
    ) -> list[Record]:
        """Write many runs at once where MLflow is a database; the records that this left out."""
        engine = tables_of(client, experiment)
        if engine is None:
            return records
        there = known(engine, experiment, rows)
        new = [record for record in records if record["trial_id"] not in there]
        runs = [
            as_run(self.storage, self.sweep, record, rows[record["trial_id"]]) for record in new
        ]
        write_new(client, engine, experiment, runs)
        return [record for record in records if record["trial_id"] in there]

    def client(self) -> MlflowClient:
        """A client of the tracking store, which it creates on first use."""
        from mlflow import MlflowClient
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 2  # it would ask a database that is away for a hundred seconds
        client = MlflowClient(tracking_uri=self.tracking_uri or default_uri(self.storage))
        if not self.tracking_uri:
            bring_home(client, artifacts_of(self.storage))
        return client

    def experiment(self, client: MlflowClient, manifest: dict[str, Any]) -> str:
        """The id of the sweep's experiment, made on first use."""
        known = client.get_experiment_by_name(self.sweep)
        if known is not None:
            return known.experiment_id
        tags = {"mlflow.note.content": manifest["title"], "mlflow.experimentKind": KIND}
        if self.tracking_uri:  # a server decides for itself where artifacts go
            return client.create_experiment(self.sweep, tags=tags)
        forget_default(client)
        place = artifacts_of(self.storage)
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

        told = as_run(self.storage, self.sweep, record, row)
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
        write_artifacts(client, run_id, told)
        client.set_terminated(run_id, told.status, told.ended)


def attempt_of(told: Mapping[str, Any]) -> tuple[str, str]:
    """What tells an attempt at a trial from another, in a record or in its row."""
    return told["status"], told["started_at"]


def write_artifacts(client: MlflowClient, run_id: str, told: Told) -> None:
    """The trial spelled out, and everything it saved."""
    for name, what in told.artifacts.items():
        if isinstance(what, str):
            client.log_text(run_id, what, name)
        else:
            folder = Path(name).parent.as_posix()
            client.log_artifact(run_id, str(what), None if folder == "." else folder)


def forget_default(client: MlflowClient) -> None:
    """Hide the empty experiment that every new MLflow database begins with."""
    default = client.get_experiment_by_name("Default")
    empty = default and not client.search_runs([default.experiment_id], max_results=1)
    if default and empty and default.lifecycle_stage == "active":
        client.delete_experiment(default.experiment_id)


def sync_all(storage: Path, sweeps: Iterable[str], tracking_uri: str | None) -> dict[str, int]:
    """Mirror several sweeps; runs written by sweep."""
    return {name: Syncer(storage, name, tracking_uri).sync() for name in sweeps}
