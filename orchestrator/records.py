"""The ledger: one immutable record per trial."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.damage import kinds, read_whole
from orchestrator.storage import create, fresh, leases, remove
from trainables.leases import Leases

SETTLED = ("ok", "not_applicable")
"""Outcomes that stand: running the trial again would say the same."""
WELL = (*SETTLED, "pruned")
"""Outcomes that are no failures. Two of these are recorded as attempts, see `planning.settled`:
a trial that was stopped early, since others were ahead, and one whose model was `unavailable`."""

Record = dict[str, Any]


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
        if record["status"] in SETTLED and not record.get("unavailable"):
            return create(self.storage, f"{name}.json", text)
        self.add_attempt(record["trial_id"], text)
        return True

    def add_attempt(self, trial_id: str, text: str) -> None:
        """Write a record under the next free number of a trial's attempts."""
        attempt = 1 + max(map(attempt_of, self.attempts(trial_id)), default=0)
        name = name_of(trial_id)
        while not create(self.storage, f"{name}.{attempt}.json", text):
            attempt += 1

    def reopen(self, trial_id: str, wrong: Callable[[Record], bool] | None = None) -> None:
        """Make a standing record an attempt, so that the trial runs again, where it is `wrong`.

        Without `wrong`, `misjudged` judges. Drivers that want it at the same time wait for each
        other.
        """
        with Leases(leases(self.storage)) as held:
            name = f"reopen-{trial_id}"
            while not held.take([name]):
                time.sleep(0.2)
            record = self.settled(trial_id)
            if record is not None and (wrong or misjudged)(record):
                self.add_attempt(trial_id, json.dumps(record, indent=1, allow_nan=False))
                remove(self.storage, f"{name_of(trial_id)}.json")
            held.drop([name])

    def settled(self, trial_id: str) -> Record | None:
        """The record that stands, if there is one."""
        fresh(self.storage, f"{name_of(trial_id)}.json")
        return self.standing(trial_id)

    def standing(self, trial_id: str) -> Record | None:
        """The same, by what is here."""
        return self.read(f"{trial_id}.json")

    def read(self, file: str) -> Record | None:
        """A record's file; None where there is none, or a damaged one, which is set aside."""
        trial_id = parted(file)[0]
        check = partial(fault, trial_id=trial_id)
        name = f"{name_of(trial_id).removesuffix(trial_id)}{file}"
        return read_whole(self.storage, name, check, "its trial counts as not run")

    def settled_ids(self) -> set[str]:
        """The ids of all settled trials, without opening a record."""
        fresh(self.storage, "records/")
        return self.settled_here()

    def settled_here(self) -> set[str]:
        """The same, by what is here."""
        return {i for i, attempt in map(parted, self.names()) if not attempt}

    def tries(self) -> Counter[str]:
        """How often each trial ended, well or not, without opening a record."""
        fresh(self.storage, "records/")
        return Counter(i for i, _ in map(parted, self.names()))

    def names(self, folders: Iterable[str] | None = None) -> Iterator[str]:
        """The names of the records' files in some folders, or in all; of drafts, none."""
        every = (path.name for path in self.root.glob("??")) if folders is None else folders
        for folder in every:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found = os.listdir(self.root / folder)  # noqa: PTH208  a Path a file takes longer
                yield from (name for name in found if name.endswith(".json") and name[0] != ".")

    def tries_of(self, trial_id: str) -> int:
        """The same of one trial."""
        fresh(self.storage, f"{name_of(trial_id)}.")
        settled = (self.storage / f"{name_of(trial_id)}.json").exists()
        return settled + len(self.attempts(trial_id))

    def attempts(self, trial_id: str) -> list[Path]:
        """The records of a trial's failed attempts, in the order of their numbers."""
        folder = (self.storage / name_of(trial_id)).parent
        found = folder.glob(f"{trial_id}.*.json")
        return sorted((path for path in found if attempt_of(path)), key=attempt_of)

    def last(self, trial_id: str) -> Record | None:
        """The record that stands, else the last failed attempt, else nothing."""
        fresh(self.storage, f"{name_of(trial_id)}.")
        return self.last_here(trial_id)

    def last_here(self, trial_id: str) -> Record | None:
        """The same, by what is here."""
        if (record := self.standing(trial_id)) is not None:
            return record
        attempts = reversed(self.attempts(trial_id))
        return next(filter(None, (self.read(path.name) for path in attempts)), None)

    def current(self, trial_ids: Iterable[str]) -> list[Record]:
        """What is known of each trial, in the order of the ids; unknown ones are left out."""
        return [*itertools.chain.from_iterable(self.in_parts(trial_ids))]

    def in_parts(self, trial_ids: Iterable[str], at_once: int = 2000) -> Iterator[list[Record]]:
        """The same, so many at a time: all together may not fit."""
        fresh(self.storage, "records/")
        paths = list(self.files(trial_ids).items())
        for i in range(0, len(paths), at_once):
            some = (self.read(path.name) or self.last_here(t) for t, path in paths[i : i + at_once])
            yield [record for record in some if record is not None]

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


def misjudged(record: Record) -> bool:
    """Whether a record says that its model cannot do the task, though a worker only lacked a file.

    Version 0.1.0 let workers judge this. Records made since then name the `external` files.
    """
    return record["status"] == "not_applicable" and "external" not in record


def name_of(trial_id: str) -> str:
    """A trial's record in a storage, without its ending.

    Raises ValueError for what is no trial's id.
    """
    if not is_id(trial_id):
        raise ValueError(f"{trial_id!r} is no trial's id; `gauntlet results` lists them")
    return f"records/{trial_id[:2]}/{trial_id}"


def is_id(text: str) -> bool:
    """Whether a text may be a trial's id, and so a part of a file's name."""
    return re.fullmatch(r"[\w-]{2,64}", text) is not None


def parted(name: str) -> tuple[str, str]:
    """The trial of a record's file, and the number of its attempt, "" of what is settled.

    >>> parted("3f2a.json"), parted("3f2a.2.json")
    (('3f2a', ''), ('3f2a', '2'))
    """
    trial, _, rest = name.partition(".")
    return trial, rest.removesuffix("json").removesuffix(".")


def attempt_of(path: Path) -> int:
    """Number of an attempt, by its record's file; 0 for what is none."""
    number = parted(path.name)[1]
    return int(number) if number.isdecimal() else 0


KINDS = {
    **dict.fromkeys(("trial_id", "status", "reason", "protocol", "trace"), str),
    **dict.fromkeys(("code_version", "started_at", "ended_at", "hostname"), str),
    **dict.fromkeys(("trial", "metrics", "cost"), dict),
    "history": list,
}
"""Keys that a record must have, each with the kind of its value."""
TRIAL_KINDS = {
    **dict.fromkeys(("model", "task", "dataset", "dataset_sha256"), str),
    **dict.fromkeys(("model_params", "task_params"), dict),
    **dict.fromkeys(("seed", "task_version"), int),
    "model_version": (int, str),
}
"""Keys that a record's trial must have."""


def fault(found: Any, trial_id: str) -> str:
    """Why this is not the record of a trial; "" where it is."""
    if why := kinds(found, KINDS, "record") or kinds(found["trial"], TRIAL_KINDS, "trial"):
        return why
    if found["trial_id"] != trial_id:
        return f"the record of another trial, {found['trial_id']!r}"
    numbers = [found["metrics"], found["cost"], found.get("counts", {}), *found["history"]]
    if not all(isinstance(some, dict) and all(map(is_number, some.values())) for some in numbers):
        return "no record: a metric, count or cost is no number"
    if (
        not is_number(found["trial"]["task_params"].get("fraction"))
        or "wall_s" not in found["cost"]
    ):
        return "no record: it lacks the share of labels or the seconds"
    with contextlib.suppress(ValueError):
        for key in ("started_at", "ended_at"):
            datetime.fromisoformat(found[key])
        return ""
    return "no record: its times are no times"


def is_number(value: Any) -> bool:
    """Whether a value is a number that is finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def now() -> str:
    """The time in UTC, to the millisecond, as ISO 8601."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
