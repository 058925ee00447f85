"""Seals of artifacts: a list of their files, by which a damaged one is known when it is opened."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

SEAL = "seal.json"
"""File of a sealed folder: for each other file its size, and its sha256 or "" where it is large."""
HASHED = 16 << 20
"""Bytes up to which a file is hashed: hashing all of a large one would cost more than opening it.
Damage of a larger file is known by its size alone."""


def seal(folder: Path) -> None:
    """Write the list of a folder's files into it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    listed = {path.relative_to(folder).as_posix(): entry(path) for path in files}
    (folder / SEAL).write_text(json.dumps(listed))


def entry(path: Path) -> list[Any]:
    """Size of a file, and its sha256, "" of a large one."""
    size = path.stat().st_size
    return [size, hashlib.sha256(path.read_bytes()).hexdigest() if size <= HASHED else ""]


def damage(folder: Path) -> str:
    """Why a sealed folder is damaged; "" where it is whole, or older than seals.

    Sizes are compared each time, hashes once in a process.
    """
    try:
        text, written = (folder / SEAL).read_text(), (folder / SEAL).stat()
        listed = json.loads(text)
        sizes = {name: size for name, (size, _) in listed.items()}
    except FileNotFoundError:
        return "" if (folder / "recipe.json").is_file() else "recipe.json is gone"
    except (NotADirectoryError, IsADirectoryError, ValueError, AttributeError, TypeError):
        return f"{SEAL} cannot be read"
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is gone"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes and was made with {size}"
    return changed(folder, text, (written.st_ino, written.st_ctime_ns))


@lru_cache(maxsize=1000)
def changed(folder: Path, text: str, which: tuple[int, int]) -> str:
    """Which file of a sealed folder has another content than when it was made; "" for none.

    `which` tells a seal from one that was written later.
    """
    for name, (size, sha256) in json.loads(text).items():
        if sha256 and entry(folder / name) != [size, sha256]:
            return f"{name} has changed"
    return ""
