"""The ledger: one immutable record per trial, and the tidy table made of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.storage import create, fresh, shown
from trainables.networks import MADE_BY

SETTLED = ("ok", "not_applicable")
"""Outcomes that stand: running the trial again would say the same."""
WELL = (*SETTLED, "pruned")
"""Outcomes that are no failures. What was stopped early because others were ahead says nothing
where those others are not, and what `lacks` a package says nothing where that is installed: their
records are attempts, see `planning.settled`."""

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
        name, text = name_of(record["trial_id"]), json.dumps(record, indent=1, allow_nan=False)
        if record["status"] in SETTLED and not record.get("lacks"):
            return create(self.storage, f"{name}.json", text)
        attempt = 1
        while not create(self.storage, f"{name}.{attempt}.json", text):
            attempt += 1
        return True

    def settled(self, trial_id: str) -> Record | None:
        """The record that stands, if there is one."""
        fresh(self.storage, f"{name_of(trial_id)}.json")
        return self.standing(trial_id)

    def standing(self, trial_id: str) -> Record | None:
        """The same, by what is here."""
        path = self.storage / f"{name_of(trial_id)}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def settled_ids(self) -> set[str]:
        """The ids of all settled trials, without opening a record."""
        fresh(self.storage, "records/")
        return {i for i, attempt in map(parted, self.names()) if not attempt}

    def tries(self) -> Counter[str]:
        """How often each trial ended, well or not, without opening a record."""
        fresh(self.storage, "records/")
        return Counter(i for i, _ in map(parted, self.names()))

    def names(self, folders: Iterable[str] | None = None) -> Iterator[str]:
        """The names of the records' files in some folders, or in all; of drafts, none."""
        every = (path.name for path in self.root.glob("??")) if folders is None else folders
        for folder in every:
            with contextlib.suppress(FileNotFoundError):
                found = os.listdir(self.root / folder)  # noqa: PTH208  a Path a file takes longer
                yield from (name for name in found if name.endswith(".json") and name[0] != ".")

    def tries_of(self, trial_id: str) -> int:
        """The same of one trial."""
        fresh(self.storage, f"{name_of(trial_id)}.")
        settled = (self.storage / f"{name_of(trial_id)}.json").exists()
        return settled + len(self.attempts(trial_id))

    def attempts(self, trial_id: str) -> list[Path]:
        """The records of a trial's failed attempts, which are numbered from 1."""
        paths = (self.storage / f"{name_of(trial_id)}.{n}.json" for n in itertools.count(1))
        return list(itertools.takewhile(Path.exists, paths))

    def last(self, trial_id: str) -> Record | None:
        """The record that stands, else the last failed attempt, else nothing."""
        fresh(self.storage, f"{name_of(trial_id)}.")
        return self.last_here(trial_id)

    def last_here(self, trial_id: str) -> Record | None:
        """The same, by what is here."""
        if (record := self.standing(trial_id)) is not None:
            return record
        attempts = self.attempts(trial_id)
        return json.loads(attempts[-1].read_text()) if attempts else None

    def current(self, trial_ids: Iterable[str]) -> list[Record]:
        """What is known of each trial, in the order of the ids; unknown ones are left out."""
        return [*itertools.chain.from_iterable(self.in_parts(trial_ids))]

    def in_parts(self, trial_ids: Iterable[str], at_once: int = 2000) -> Iterator[list[Record]]:
        """The same, so many at a time: all together may not fit."""
        fresh(self.storage, "records/")
        paths = list(self.files(trial_ids).values())
        for i in range(0, len(paths), at_once):
            yield [json.loads(path.read_bytes()) for path in paths[i : i + at_once]]

    def files(self, trial_ids: Iterable[str]) -> dict[str, Path]:
        """The file of the record that stands, else of the last failed attempt, in the order of the
        ids; each folder is looked at once."""
        wanted = list(trial_ids)
        last: dict[str, tuple[float, str]] = {}
        for name in self.names({i[:2] for i in wanted}):
            i, attempt = parted(name)
            found = (float(attempt or "inf"), name)
            last[i] = max(found, last.get(i, found))
        return {i: self.root / i[:2] / last[i][1] for i in wanted if i in last}


def name_of(trial_id: str) -> str:
    """A trial's record in a storage, without its ending."""
    return f"records/{trial_id[:2]}/{trial_id}"


def parted(name: str) -> tuple[str, str]:
    """The trial of a record's file, and the number of its attempt, "" of what is settled.

    >>> parted("3f2a.json"), parted("3f2a.2.json")
    (('3f2a', ''), ('3f2a', '2'))
    """
    trial, _, rest = name.partition(".")
    return trial, rest.removesuffix("json").removesuffix(".")


def now() -> str:
    """The time in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


# ---- sweeps: what was planned, under a name -------------------------------------------------


def write_manifest(storage: Path, manifest: dict[str, Any]) -> Path:
    """Keep what a sweep plans, before its first trial; the newest of a name is what it means.

    Nothing is written when the newest already says the same.
    """
    folder = manifests_of(storage, manifest["sweep"])
    kept = newest(folder)
    if kept and {**read(kept), "created_at": ""} == {**manifest, "created_at": ""}:
        return kept
    path = folder / f"{re.sub(r'[^0-9T]', '', manifest['created_at'])}.json"
    create(storage, path.relative_to(storage).as_posix(), in_lines(manifest))
    return path


def in_lines(told: Mapping[str, Any], deep: bool = True) -> str:
    """JSON with a line an entry, and a line an entry of entries, such as a trial.

    `json.dumps(indent=1)` would take seconds for many trials.

    >>> print(in_lines({"sweep": "s", "trials": {"3f2a": {"seed": 1}}}))
    {
    "sweep": "s",
    "trials": {
    "3f2a": {"seed": 1}
    }
    }
    """
    lines = (
        f"{json.dumps(key)}: "
        + (in_lines(v, deep=False) if deep and v and isinstance(v, dict) else json.dumps(v))
        for key, v in told.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}"


def read(manifest: Path) -> dict[str, Any]:
    """A manifest's file, which is never changed: read once a process, so leave it as it is."""
    return read_once(manifest.resolve(), manifest.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def read_once(manifest: Path, written: int) -> dict[str, Any]:
    return json.loads(manifest.read_bytes())


def read_manifest(storage: Path, sweep: str) -> dict[str, Any]:
    """The newest manifest of a sweep.

    Raises LookupError naming the sweeps that this storage knows.
    """
    path = newest(manifests_of(storage, sweep))
    if path is None:
        from trainables.catalog import unknown

        known = recorded_sweeps(storage)
        raise LookupError(f"{shown(storage)} has {unknown('sweep', sweep, known)}")
    return read(path)


def manifests(storage: Path, sweep: str) -> list[dict[str, Any]]:
    """Every manifest that a sweep ever had, the oldest first."""
    paths = sorted(manifests_of(storage, sweep).glob("*.json"))
    return [read(path) for path in paths]


def keep_makespan(storage: Path, sweep: str, told: dict[str, Any]) -> None:
    """Add a line to what a sweep's runs were predicted to take, and took."""
    with (storage / "sweeps" / slug(sweep) / "makespans.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")


def recorded_sweeps(storage: Path) -> list[str]:
    """The names of the sweeps that were ever started on this storage."""
    fresh(storage, "sweeps/")
    folders = sorted((storage / "sweeps").glob("*"))
    return [read(path)["sweep"] for folder in folders if (path := newest(folder))]


def manifests_of(storage: Path, sweep: str) -> Path:
    """The folder of a sweep's manifests, all of them there."""
    fresh(storage, f"sweeps/{slug(sweep)}/")
    return storage / "sweeps" / slug(sweep)


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


def about(record: Record, sweep: str, planned: Mapping[str, Record]) -> dict[str, Any]:
    """What the rows of one trial share: `COLUMNS` without metric and value.

    `planned` is what the sweep's manifest says of each trial: `model` is the arm's name there, and
    weights that a trial of the sweep made are told by how they were made, which all seeds share.
    """
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
