"""Many new runs into an MLflow database at once: one transaction instead of ten for each run.

MLflow's client writes a run in a dozen round trips, each a transaction of its own; in the database
they are a few rows. The rows are those that `SqlAlchemyStore` writes, in its own tables. A server,
or artifacts that are not on this machine's disk, take the client's way.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

if TYPE_CHECKING:
    from mlflow import MlflowClient

AT_ONCE = 200
"""Runs of a transaction."""
ARTIFACTS = "mlflow-artifacts"
"""Folder of a storage for the artifacts of its own database."""
LONGEST_PARAM, LONGEST_TAG = 6000, 8000


@dataclass(frozen=True)
class Told:
    """A run as MLflow is to have it."""

    name: str
    started: int
    """Milliseconds, as all times here."""
    ended: int
    status: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[tuple[str, float, int]]
    """Name, value, step; in the order of steps."""
    dataset: dict[str, str]
    """name, digest, source_type, source."""
    artifacts: dict[str, Path | str]
    """By path in the run's folder: a file, or what is to be written."""


def tables_of(client: MlflowClient, experiment: str) -> Any:
    """The database behind a client, where it can be written to directly, else None."""
    store = client._tracking_client.store
    place = client.get_experiment(experiment).artifact_location
    if not hasattr(store, "engine") or urlparse(place).scheme not in ("", "file"):
        return None
    return store.engine


def bring_home(client: MlflowClient, place: str) -> None:
    """Write `place` into the storage's own database, as where its artifacts are.

    MLflow keeps whole addresses: a storage that was moved or copied would write to its old place.
    """
    import sqlalchemy as sql
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun

    engine = client._tracking_client.store.engine
    with engine.begin() as connection:
        asked = sql.select(SqlExperiment.experiment_id, SqlExperiment.artifact_location)
        for experiment, location in connection.execute(asked).all():
            if location == place or not str(location).endswith(f"/{ARTIFACTS}"):
                continue  # MLflow's own experiment, or one that somebody else keeps in there
            mine = SqlExperiment.experiment_id == experiment
            connection.execute(
                sql.update(SqlExperiment).where(mine).values(artifact_location=place)
            )
            address = sql.literal(f"{place}/") + SqlRun.run_uuid + sql.literal("/artifacts")
            runs = sql.update(SqlRun).where(SqlRun.experiment_id == experiment)
            connection.execute(runs.values(artifact_uri=address))


def known(engine: Any, experiment: str, trials: Iterable[str]) -> set[str]:
    """Those of the trials that have a run."""
    return set(runs_of(engine, experiment, [*trials]))


def runs_of(
    engine: Any, experiment: str, trials: Sequence[str] | None = None
) -> dict[str, list[tuple[str, str]]]:
    """The runs of each trial, or of some trials, and their states."""
    import sqlalchemy as sql
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag

    asked = (
        sql.select(SqlTag.value, SqlRun.run_uuid, SqlRun.status)
        .join(SqlRun, SqlRun.run_uuid == SqlTag.run_uuid)
        .where(SqlRun.experiment_id == int(experiment), SqlRun.lifecycle_stage == "active")
        .where(SqlTag.key == "trial_id")
    )
    if trials is not None:
        asked = asked.where(SqlTag.value.in_(trials))
    found: dict[str, list[tuple[str, str]]] = {}
    with engine.connect() as connection:
        for trial, run, status in connection.execute(asked):
            found.setdefault(trial, []).append((run, status))
    return found


def told_by(engine: Any, runs: Sequence[str], keys: Sequence[str]) -> dict[str, dict[str, str]]:
    """Some tags of some runs."""
    import sqlalchemy as sql
    from mlflow.store.tracking.dbmodels.models import SqlTag

    asked = sql.select(SqlTag.run_uuid, SqlTag.key, SqlTag.value).where(
        SqlTag.run_uuid.in_(runs), SqlTag.key.in_(keys)
    )
    found: dict[str, dict[str, str]] = {}
    with engine.connect() as connection:
        for run, key, value in connection.execute(asked):
            found.setdefault(run, {})[key] = value
    return found


def write_new(client: MlflowClient, engine: Any, experiment: str, runs: Sequence[Told]) -> None:
    """Write runs that are not there yet; artifacts first, so that a run that is there is whole."""
    place = client.get_experiment(experiment).artifact_location
    folder = local(place)
    for i in range(0, len(runs), AT_ONCE):
        some = {uuid.uuid4().hex: told for told in runs[i : i + AT_ONCE]}
        for run_id, told in some.items():
            keep_files(folder / run_id / "artifacts", told.artifacts)
        with engine.begin() as connection:
            for table, rows in rows_of(connection, int(experiment), place, some).items():
                if rows:
                    connection.execute(table.insert(), rows)


def rows_of(
    connection: Any, experiment: int, place: str, runs: dict[str, Told]
) -> dict[Any, list[dict[str, Any]]]:
    """The rows of some runs, by table, such that what refers comes after what is referred to."""
    from mlflow.store.tracking.dbmodels import models

    data: dict[tuple[str, str], str] = {}
    new_data = datasets_of(connection, experiment, [told.dataset for told in runs.values()], data)
    inputs = {run_id: uuid.uuid4().hex for run_id in runs}
    found: dict[Any, list[dict[str, Any]]] = {
        models.SqlRun: [run_row(i, told, experiment, place) for i, told in runs.items()],
        models.SqlTag: [
            {"run_uuid": i, "key": key, "value": value[:LONGEST_TAG]}
            for i, told in runs.items()
            for key, value in (told.tags | {"mlflow.runName": told.name}).items()
        ],
        models.SqlParam: [
            {"run_uuid": i, "key": key, "value": value[:LONGEST_PARAM]}
            for i, told in runs.items()
            for key, value in told.params.items()
        ],
        models.SqlMetric: [
            metric_row(i, told, *m) for i, told in runs.items() for m in told.metrics
        ],
        models.SqlLatestMetric: [
            metric_row(i, told, *m)
            for i, told in runs.items()
            for m in {metric[0]: metric for metric in told.metrics}.values()
        ],
        models.SqlDataset: new_data,
        models.SqlInput: [
            {
                "input_uuid": inputs[i],
                "source_type": "DATASET",
                "source_id": data[told.dataset["name"], told.dataset["digest"]],
                "destination_type": "RUN",
                "destination_id": i,
            }
            for i, told in runs.items()
        ],
        models.SqlInputTag: [
            {"input_uuid": i, "name": "mlflow.data.context", "value": "evaluation"}
            for i in inputs.values()
        ],
    }
    return {model.__table__: rows for model, rows in found.items()}


def run_row(run_id: str, told: Told, experiment: int, place: str) -> dict[str, Any]:
    """A line of the table of runs."""
    return {
        "run_uuid": run_id,
        "name": told.name,
        "experiment_id": experiment,
        "artifact_uri": f"{place.rstrip('/')}/{run_id}/artifacts",
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": "unknown",
        "status": told.status,
        "start_time": told.started,
        "end_time": told.ended,
        "lifecycle_stage": "active",
    }


def metric_row(run_id: str, told: Told, key: str, value: float, step: int) -> dict[str, Any]:
    """A value of a metric."""
    moment = {"timestamp": told.ended, "step": step, "is_nan": False}
    return {"run_uuid": run_id, "key": key, "value": value, **moment}


def datasets_of(
    connection: Any, experiment: int, wanted: list[dict[str, str]], ids: dict[tuple[str, str], str]
) -> list[dict[str, Any]]:
    """Fill in the ids of data sets; the rows of those that the experiment has not got yet."""
    import sqlalchemy as sql
    from mlflow.store.tracking.dbmodels.models import SqlDataset

    there = connection.execute(
        sql.select(SqlDataset.name, SqlDataset.digest, SqlDataset.dataset_uuid).where(
            SqlDataset.experiment_id == experiment
        )
    )
    ids |= {(name, digest): i for name, digest, i in there}
    new = []
    for told in wanted:
        key = told["name"], told["digest"]
        if key not in ids:
            ids[key] = uuid.uuid4().hex
            source = {f"dataset_{k}": told[k] for k in ("source", "source_type")}
            about = {"dataset_uuid": ids[key], "experiment_id": experiment}
            new.append({**about, "name": key[0], "digest": key[1], **source})
    return new


def keep_files(home: Path, files: dict[str, Path | str]) -> None:
    """Put a run's artifacts in their place. Copies: a second name for the same file would let a
    change of one show in the other."""
    for folder in {home, *((home / name).parent for name in files)}:
        folder.mkdir(parents=True, exist_ok=True)
    for name, what in files.items():
        if isinstance(what, str):
            (home / name).write_text(what)
        else:
            shutil.copyfile(what, home / name)


def local(place: str) -> Path:
    """A folder by its path or `file:` address."""
    return Path(unquote(urlparse(place).path)) if place.startswith("file:") else Path(place)
