"""The manifests: what sweeps plan, each under its name."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from orchestrator.damage import kinds, read_whole
from orchestrator.records import is_id
from orchestrator.storage import SET_ASIDE, create, fresh, shown


def write_manifest(storage: Path, manifest: dict[str, Any]) -> Path:
    """Keep what a sweep plans, before its first trial; the newest of a name is what it means.

    Nothing is written when the newest already says the same. Raises ValueError where another sweep
    has the folder of this name.
    """
    folder = manifests_of(storage, manifest["sweep"])
    kept = newest(storage, manifest["sweep"])
    last = (kept and read(storage, kept)) or {}
    refuse_another(last.get("sweep", manifest["sweep"]), manifest["sweep"], folder)
    if kept and last | {"created_at": ""} == manifest | {"created_at": ""}:
        return kept
    path = folder / f"{re.sub(r'[^0-9T]', '', manifest['created_at'])}.json"
    create(storage, path.relative_to(storage).as_posix(), in_lines(manifest))
    return path


def refuse_another(first: str, name: str, folder: Path) -> None:
    """Raise ValueError where the sweep that was first in a folder has another name."""
    if first not in (name, folder.name):  # a plan made from records may be named as its folder
        raise ValueError(
            f"the sweep {name!r} would share the folder sweeps/{folder.name} with the sweep"
            f" {first!r}; give it another name, or another --storage"
        )


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


def read(storage: Path, manifest: Path) -> dict[str, Any] | None:
    """A manifest's file, which is never changed: read once a process, so leave it as it is.

    None where it is damaged, which sets it aside.
    """
    with contextlib.suppress(OSError):
        written = manifest.stat()
        return read_once(storage, manifest, written.st_mtime_ns, written.st_size)
    return None


@lru_cache(maxsize=2)
def read_once(storage: Path, manifest: Path, written: int, size: int) -> dict[str, Any] | None:
    check, name = partial(fault, folder=manifest.parent.name), manifest.relative_to(storage)
    then = "an older plan counts, else one made from the records; run the sweep again to renew it"
    return read_whole(storage, name.as_posix(), check, then)


KINDS = {
    **dict.fromkeys(("sweep", "title", "created_at", "headline", "task"), str),
    **dict.fromkeys(("models", "datasets", "trials"), dict),
    "analysis": list,
}
"""Keys that a manifest must have, each with the kind of its value."""
TRIAL_KINDS = {
    **dict.fromkeys(("model", "task", "dataset"), str),
    **dict.fromkeys(("model_params", "task_params"), dict),
    "seed": int,
}
"""Keys that each of its trials must have."""


def fault(found: Any, folder: str) -> str:
    """Why this is not a manifest of the sweep whose folder it is in; "" where it is."""
    if why := kinds(found, KINDS, "manifest"):
        return why
    if not found["sweep"].strip(".") or slug(found["sweep"]) != folder:
        return f"the manifest of another sweep, {found['sweep']!r}"
    for trial, spec in found["trials"].items():
        if not is_id(trial):
            return f"{trial!r} is no trial's id"
        if why := kinds(spec, TRIAL_KINDS, "trial"):
            return why
    return ""


def read_manifest(storage: Path, sweep: str) -> dict[str, Any]:
    """The newest manifest of a sweep.

    Raises LookupError naming the sweeps that this storage knows.
    """
    if (path := newest(storage, sweep)) is not None and (found := read(storage, path)):
        return found
    from trainables.catalog import unknown

    known = recorded_sweeps(storage)
    raise LookupError(f"{shown(storage)} has {unknown('sweep', sweep, known)}")


def manifests(storage: Path, sweep: str) -> list[dict[str, Any]]:
    """Every manifest that a sweep ever had, the oldest first."""
    paths = sorted(manifests_of(storage, sweep).glob("*.json"))
    return [found for path in paths if (found := read(storage, path)) is not None]


def keep_makespan(storage: Path, sweep: str, told: dict[str, Any]) -> None:
    """Add a line to what a sweep's runs were predicted to take, and took."""
    with (storage / "sweeps" / slug(sweep) / "makespans.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")


def recorded_sweeps(storage: Path) -> list[str]:
    """The names of the sweeps that were ever started on this storage."""
    fresh(storage, "sweeps/")
    folders = sorted(path for path in (storage / "sweeps").glob("*") if path.is_dir())
    every = [last_in(storage, folder) for folder in folders]
    return [found["sweep"] for path in every if path and (found := read(storage, path))]


def manifests_of(storage: Path, sweep: str) -> Path:
    """The folder of a sweep's manifests, all of them there."""
    fresh(storage, f"sweeps/{slug(sweep)}/")
    return storage / "sweeps" / slug(sweep)


def newest(storage: Path, sweep: str) -> Path | None:
    """The last manifest of a sweep, if any; one made from records where all are damaged."""
    return last_in(storage, manifests_of(storage, sweep))


def last_in(storage: Path, folder: Path) -> Path | None:
    """The last manifest in a sweep's folder that is whole."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        if read(storage, path) is not None:
            return path
    if next(folder.glob(f"*{SET_ASIDE}"), None) is None:
        return None
    from orchestrator.rebuilding import rebuilt

    return rebuilt(storage, folder)


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
