"""Files of a storage that cannot be read as what they should be: set aside, said, done without."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.bucket import Bucket
from orchestrator.refusals import code_of
from orchestrator.storage import SET_ASIDE, bucket_of, shown
from orchestrator.trouble import say

MET: set[str] = set()
"""Damaged files that this process has set aside or left out."""

Check = Callable[[Any], str]
"""Given what a file's JSON is: why it is damaged, "" for what is whole."""


def read_whole(storage: Path, name: str, check: Check, then: str) -> dict[str, Any] | None:
    """Content of a JSON file of a storage; None where there is none, or a damaged one.

    A damaged file is renamed to `NAME.damaged`, and said in one sentence that ends with what
    happens `then`. One that may not be read is said, and stays.
    """
    path = storage / name
    try:
        found, why = parsed(path, check)
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        found, why = None, "a link to nothing"
    except PermissionError:
        say(f"{shown(storage)}/{name} may not be read, and is left out; ask its owner for access")
        return None
    if why and (kept := bucket_of(storage)) is not None:
        found, why = again(kept, storage, name, check)
    if why:
        set_aside(storage, name, f"{why}; {then}")
        return None
    return found


def parsed(path: Path, check: Check) -> tuple[dict[str, Any] | None, str]:
    """Content of a JSON file, and why it is damaged, "" for a whole one."""
    try:
        found = json.loads(path.read_bytes())
    except (IsADirectoryError, NotADirectoryError):
        return None, "no file"
    except (ValueError, RecursionError):
        return None, "no JSON, or cut short" if path.stat().st_size else "empty"
    return found, check(found)


def again(
    kept: Bucket, storage: Path, name: str, check: Check
) -> tuple[dict[str, Any] | None, str]:
    """The same of what the bucket has: it may be only the copy here that is damaged."""
    try:
        kept.download(name, storage / name)
        return parsed(storage / name, check)
    except (FileNotFoundError, IsADirectoryError):
        return None, "damaged, and gone from the bucket"


def set_aside(storage: Path, name: str, why: str) -> None:
    """Give a damaged file another name, for all who share the storage, and say so."""
    path, n = storage / name, 1
    aside = f"{name}{SET_ASIDE}"
    while (storage / aside).exists():
        n += 1
        aside = f"{name}.{n}{SET_ASIDE}"
    try:
        if (kept := bucket_of(storage)) is not None and path.is_file():
            kept.write(aside, path.read_bytes())
            kept.delete([name])
        path.rename(storage / aside)
        outcome = f"set aside as {aside.rpartition('/')[2]}"
    except Exception as error:  # noqa: BLE001  a storage that one may only read, or another was quicker
        outcome = f"not set aside: {refused(error)}"
    MET.add(name)
    say(f"{shown(storage)}/{name} is damaged ({outcome}): {why}")


def refused(error: Exception) -> str:
    """How a storage that is not written to says so. Raises any other error again."""
    if code := code_of(error):
        return code
    if not isinstance(error, OSError):
        raise error
    return error.strerror or str(error)


def kinds(found: Any, wanted: Mapping[str, type | tuple[type, ...]], what: str) -> str:
    """Which key of an object is missing or of another kind; "" where all are as wanted.

    >>> kinds({"seed": "0"}, {"seed": int}, "record")
    "no record: its 'seed' is missing or of another kind"
    """
    if not isinstance(found, dict):
        return f"JSON, but no {what}"
    for key, kind in wanted.items():
        value = found.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return f"no {what}: its {key!r} is missing or of another kind"
    return ""
