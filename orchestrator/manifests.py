"""The manifests: what sweeps plan, each under its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.storage import create, fresh, shown


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

    Raises ValueError for a name of which nothing is left.

    >>> slug("boiarsky2023/table2")
    'boiarsky2023.table2'
    """
    text = re.sub(r"[^\w+@-]+", ".", name)
    if not text.strip("."):
        raise ValueError(f"a sweep cannot be named {name!r}; use letters and digits")
    return text
