"""Records -> the tidy table. The only place in here that knows where results are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_STORAGE = "gauntlet-runs"
DAMAGED = "damaged"
"""Status of a trial whose record, or mirrored run, cannot be read."""


def results(
    sweep: str | None = None,
    storage: str | Path | None = None,
    where: str | None = None,
    *,
    source: str = "records",
    tracking_uri: str | None = None,
) -> pd.DataFrame:
    """One row per trial and metric, for one sweep or for all that there are.

    `where` is a condition in SQL (DuckDB's), such as `model = 'logreg' and fraction < 1`; in a
    subquery the table is `results`. `source`: "records" of `storage` ($GAUNTLET_STORAGE, else
    `gauntlet-runs`), or "mlflow", an MLflow server and nothing else: `tracking_uri`, else
    $MLFLOW_TRACKING_URI, else the database in the storage. Both give the same table.

    Raises LookupError when there is no such sweep or storage, and ValueError for a condition that
    cannot be read, or a source that is neither.
    """
    from analysis.query import tidy
    from orchestrator.rows import COLUMNS

    if source == "records":
        import pyarrow as pa

        from orchestrator.compact import compacted, schema
        from orchestrator.manifests import recorded_sweeps

        place = find_storage(storage)
        names = recorded_sweeps(place) if sweep is None else [sweep]
        trials = [compacted(place, name).replace_schema_metadata() for name in names]
        return tidy(pa.concat_tables([*trials, schema().empty_table()]), list(COLUMNS), where)
    if source != "mlflow":
        raise ValueError(f"no source {source!r}; there are: records, mlflow")
    from orchestrator.compact import of_rows
    from orchestrator.mlflow_runs import mirrored
    from orchestrator.tracking import default_uri

    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    rows = mirrored(uri or default_uri(find_storage(storage)), sweep)
    return tidy(of_rows(rows), list(COLUMNS), where)


def declared_since(table: pd.DataFrame) -> pd.DataFrame:
    """A tidy table of an older version, with what its tasks declare today."""
    from orchestrator.declared import filled

    return filled(table)


def find_storage(storage: str | Path | None = None) -> Path:
    """The storage folder to read; for a bucket, its copy here.

    Raises LookupError when nothing was ever run there.
    """
    from orchestrator.storage import fresh, opened, shown

    place = opened(storage or os.environ.get("GAUNTLET_STORAGE") or DEFAULT_STORAGE)
    fresh(place, "sweeps/")
    if not (place / "sweeps").exists():
        raise LookupError(
            f"nothing is recorded in {shown(place)}; run a sweep first (gauntlet run quickstart),"
            " or name another folder with --storage"
        )
    return place


def with_artifacts(table: pd.DataFrame, file: str, storage: str | Path | None = None) -> Path:
    """The storage folder, with a file that trials of the tidy table kept, where they did."""
    from orchestrator.storage import fresh

    place = find_storage(storage)
    fresh(place, *(f"artifacts/{trial}/{file}" for trial in table["trial_id"].unique()))
    return place


def planned(storage: str | Path | None = None, sweep: str | None = None) -> dict[str, Any]:
    """What a sweep fixed before its first trial; without a name, of the sweep planned last."""
    from orchestrator.manifests import read_manifest, recorded_sweeps

    place = find_storage(storage)
    if sweep is not None:
        return read_manifest(place, sweep)
    every = [read_manifest(place, name) for name in recorded_sweeps(place)]
    return max(every, key=lambda manifest: manifest["created_at"])


def kept(table: pd.DataFrame, file: str, storage: str | Path | None = None) -> pd.DataFrame:
    """A table that trials kept, such as "umap.parquet", with task, dataset, model and seed.

    One trial for each task, data set and model of the tidy table: that of the lowest seed.
    Without any such file, a table without rows.
    """
    import pandas as pd

    about = ["task", "dataset", "model", "seed"]
    trials = table[table["status"] == "ok"].drop_duplicates("trial_id").sort_values("seed")
    home = with_artifacts(trials, file, storage) / "artifacts"
    there = trials[[(home / trial / file).exists() for trial in trials["trial_id"]]]
    found = [
        pd.read_parquet(home / trial["trial_id"] / file).assign(**{k: trial[k] for k in about})
        for trial in there.drop_duplicates(about[:3]).to_dict("records")
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=about)


def histories(
    table: pd.DataFrame, storage: str | Path | None = None
) -> dict[str, list[dict[str, Any]]]:
    """What each trial of the tidy table reported as it went, epoch by epoch, by its id."""
    from orchestrator.records import Ledger

    found = Ledger(find_storage(storage)).current(table["trial_id"].unique())
    return {record["trial_id"]: record["history"] for record in found if record["history"]}
