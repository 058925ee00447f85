"""The ledger: one immutable record per trial, and the tidy table made of them."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables.networks import MADE_BY

SETTLED = ("ok", "not_applicable", "pruned")
"""Outcomes that stand: running the trial again would say the same."""

Record = dict[str, Any]

COLUMNS = (
    "sweep trial_id status reason model model_version model_params task task_version task_params"
    " dataset dataset_sha256 protocol fraction seed metric value n_train n_eval n_classes"
    " wall_s cpu_s gpu_s peak_rss_mb peak_gpu_mb code_version started_at hostname"
).split()


@dataclass(frozen=True)
class Ledger:
    """A storage folder's records: `records/<id[:2]>/<id>.json`, and `<id>.<n>.json` for attempts
    that failed, which a later success leaves standing as history."""

    storage: Path

    @property
    def root(self) -> Path:
        return self.storage / "records"

    def commit(self, record: Record) -> bool:
        """Write a record whole, once; False when the trial was settled already."""
        folder = self.root / record["trial_id"][:2]
        folder.mkdir(parents=True, exist_ok=True)
        if record["status"] in SETTLED:
            return create(folder / f"{record['trial_id']}.json", record)
        attempt = 1
        while not create(folder / f"{record['trial_id']}.{attempt}.json", record):
            attempt += 1
        return True

    def settled(self, trial_id: str) -> Record | None:
        """The record that stands, if there is one."""
        path = self.root / trial_id[:2] / f"{trial_id}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def settled_ids(self) -> set[str]:
        """The ids of all settled trials, without opening a record."""
        return {path.stem for path in self.root.glob("??/*.json") if "." not in path.stem}

    def tries(self) -> Counter[str]:
        """How often each trial ended, well or not, without opening a record."""
        return Counter(path.name.partition(".")[0] for path in self.root.glob("??/[!.]*.json"))

    def tries_of(self, trial_id: str) -> int:
        """The same of one trial."""
        return len(list((self.root / trial_id[:2]).glob(f"{trial_id}.*json")))

    def last(self, trial_id: str) -> Record | None:
        """The record that stands, else the last failed attempt, else nothing."""
        if (record := self.settled(trial_id)) is not None:
            return record
        attempts = (self.root / trial_id[:2]).glob(f"{trial_id}.*.json")
        newest = max(attempts, key=lambda path: int(path.stem.partition(".")[2]), default=None)
        return None if newest is None else json.loads(newest.read_text())

    def current(self, trial_ids: Iterable[str]) -> list[Record]:
        """What is known of each trial, in the order of the ids; unknown ones are left out."""
        return [json.loads(path.read_bytes()) for path in self.standing(trial_ids).values()]

    def standing(self, trial_ids: Iterable[str]) -> dict[str, Path]:
        """The file of the record that stands, else of the last failed attempt, in the order of the
        ids; each folder is looked at once."""
        wanted = list(trial_ids)
        attempts: dict[str, tuple[float, Path]] = {}
        for folder in {i[:2] for i in wanted}:
            for path in (self.root / folder).glob("[!.]*.json"):
                i, _, attempt = path.stem.partition(".")
                found = (float(attempt or "inf"), path)
                attempts[i] = max(found, attempts.get(i, found))
        return {i: attempts[i][1] for i in wanted if i in attempts}


def create(path: Path, record: Record) -> bool:
    """Write a file whole if it is not there yet; True for the one writer who did."""
    draft = path.with_name(f".{uuid.uuid4().hex}")
    with draft.open("w") as file:
        json.dump(record, file, indent=1, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails if it exists: a second result is refused, not merged
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def now() -> str:
    """The time in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


# ---- sweeps: what was planned, under a name -------------------------------------------------


def write_manifest(storage: Path, manifest: dict[str, Any]) -> Path:
    """Keep what a sweep plans, before its first trial; the newest of a name is what it means.

    Nothing is written when the newest already says the same.
    """
    folder = storage / "sweeps" / slug(manifest["sweep"])
    kept = newest(folder)
    if kept and {**json.loads(kept.read_text()), "created_at": ""} == {
        **manifest,
        "created_at": "",
    }:
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^0-9T]', '', manifest['created_at'])}.json"
    draft = folder / f".{uuid.uuid4().hex}"
    draft.write_text(json.dumps(manifest, indent=1))
    draft.replace(path)
    return path


def read_manifest(storage: Path, sweep: str) -> dict[str, Any]:
    """The newest manifest of a sweep.

    Raises LookupError naming the sweeps that this storage knows.
    """
    path = newest(storage / "sweeps" / slug(sweep))
    if path is None:
        from trainables.catalog import unknown

        raise LookupError(f"{storage} has {unknown('sweep', sweep, recorded_sweeps(storage))}")
    return json.loads(path.read_text())


def manifests(storage: Path, sweep: str) -> list[dict[str, Any]]:
    """Every manifest that a sweep ever had, the oldest first."""
    paths = sorted((storage / "sweeps" / slug(sweep)).glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def keep_makespan(storage: Path, sweep: str, told: dict[str, Any]) -> None:
    """Add a line to what a sweep's runs were predicted to take, and took."""
    with (storage / "sweeps" / slug(sweep) / "makespans.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")


def recorded_sweeps(storage: Path) -> list[str]:
    """The names of the sweeps that were ever started on this storage."""
    folders = sorted((storage / "sweeps").glob("*"))
    return [json.loads(p.read_text())["sweep"] for folder in folders if (p := newest(folder))]


def newest(folder: Path) -> Path | None:
    """The last manifest in a folder, if any."""
    return max(folder.glob("*.json"), default=None)


def slug(name: str) -> str:
    """A sweep's name as a file name.

    >>> slug("boiarsky2023/table2")
    'boiarsky2023.table2'
    """
    return re.sub(r"[^\w+@-]+", ".", name)


# ---- the tidy table -------------------------------------------------------------------------


def rows(
    records: Iterable[Record], sweep: str, planned: Mapping[str, Record]
) -> list[dict[str, Any]]:
    """One row per trial and metric, with `COLUMNS`; a trial without metrics has one row.

    `planned` is what the sweep's manifest says of each trial: `model` is the arm's name there, and
    weights that a trial of the sweep made are told by how they were made, which all seeds share.
    """
    table = []
    for record in records:
        shared = about(record, sweep, planned)
        for metric, value in (record["metrics"] or {None: None}).items():
            row = shared | {"metric": metric, "value": value}
            table.append({column: row[column] for column in COLUMNS})
    return table


def about(record: Record, sweep: str, planned: Mapping[str, Record]) -> dict[str, Any]:
    """What the rows of one trial share: `COLUMNS` without metric and value."""
    trial, counts = record["trial"], record.get("counts", {})
    return {
        "model": planned[record["trial_id"]].get("arm") or trial["model"],
        **{key: trial[key] for key in ("model_version", "task", "task_version")},
        **{key: trial[key] for key in ("dataset", "dataset_sha256", "seed")},
        **{key: record[key] for key in ("trial_id", "status", "reason", "code_version")},
        **{key: record[key] for key in ("started_at", "hostname", "protocol")},
        **record["cost"],
        "sweep": sweep,
        "fraction": trial["task_params"]["fraction"],
        "model_params": json.dumps(told(trial["model_params"], planned), sort_keys=True),
        "task_params": json.dumps(trial["task_params"], sort_keys=True),
        **{key: counts.get(key) for key in ("n_train", "n_eval", "n_classes")},
    }


def told(params: Mapping[str, Any], planned: Mapping[str, Record]) -> dict[str, Any]:
    """Hyperparameters, with "trial:<id>" put as what that trial was: seeds then share a line."""
    return {key: planned_as(value, planned) for key, value in params.items()}


def planned_as(value: Any, planned: Mapping[str, Record]) -> Any:
    """A value as it is; for the weights of a planned trial, its model, data set and parameters."""
    maker = planned.get(str(value).removeprefix(MADE_BY)) if isinstance(value, str) else None
    if maker is None:
        return value
    params = json.dumps(told(maker["model_params"], planned), sort_keys=True)
    return f"pretrained {maker['model']} on {maker['dataset']} {params}"
