"""Files outside the project that a trial reads: weights, checkouts, dictionaries, interpreters.

The driver finds them once (`Trial.located`), to absolute places and the sha256 of each file. They
travel with the trial. A worker asks no environment variable and no working directory for them: it
takes the place that the driver found, or a copy with the same content from the store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainables.protocols import Unavailable
from trainables.seals import SEAL
from trainables.store import Store, digest, file_sha256

# ---- where the driver looks -------------------------------------------------------------------


class _Lock:
    """Number of trials that run in this process."""

    trials = 0


@contextlib.contextmanager
def sealed() -> Iterator[None]:
    """While this lasts, `environment` sees no variable and `absolute` takes no relative path.

    A trial is running then. Its worker has another working directory and other variables than the
    driver, so what a trial takes from them would differ from machine to machine.
    """
    _Lock.trials += 1
    try:
        yield
    finally:
        _Lock.trials -= 1


def environment(variable: str, default: str = "") -> str:
    """Value of an environment variable, for the driver alone; the default while a trial runs."""
    return default if _Lock.trials else os.environ.get(variable) or default


def absolute(path: str | Path) -> Path:
    """Absolute form of a path; a relative one starts where the command was typed.

    Raises RuntimeError for a relative path while a trial runs.
    """
    place = Path(path).expanduser()
    if _Lock.trials and not place.is_absolute():
        raise RuntimeError(
            f"a running trial asked for the relative path {path}; the model must declare this file"
            " in `external()`, so that the driver finds it"
        )
    return place.absolute()


ADDED = ("recipe.json", SEAL)

# ---- content ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileState:
    """Content of one file, and its stamp on the machine of the driver."""

    name: str
    """Path below the root."""
    size: int
    mtime_ns: int
    sha256: str


@lru_cache(maxsize=1024)
def known_sha256(path: Path, size: int, mtime_ns: int) -> str:
    """sha256 of a file, read once per process for as long as its stamp stays the same."""
    return file_sha256(path)


def sha256_of(path: Path) -> str:
    """sha256 of a file; see `known_sha256`."""
    about = path.stat()
    return known_sha256(path, about.st_size, about.st_mtime_ns)


def files_below(folder: Path) -> list[Path]:
    """All files of a folder, sorted, without those that the store adds to an artifact."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ADDED)


def fingerprint(path: Path) -> str:
    """sha256 of a file, or of a folder's file names and their contents."""
    path = Path(path)
    if path.is_file():
        return sha256_of(path)
    return digest([[str(p.relative_to(path)), sha256_of(p)] for p in files_below(path)])


POINTER = b"version https://git-lfs"
PAGES = (b"<!doctype html", b"<html", b"<?xml")


def placeholder(path: Path) -> str:
    """Kind of the text that was saved in place of a file, in words; "" for a real file.

    A browser or a script may save the page around a download, and `git clone` without Git LFS
    leaves a pointer.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith(POINTER):
        return "only points to what Git LFS holds; run git lfs pull in its folder"
    if start.startswith(PAGES):
        return "is a web page; open it in a browser and download the file that it leads to"
    return ""


# ---- what travels with a trial ----------------------------------------------------------------


@dataclass(frozen=True)
class External:
    """Files that one parameter of a model names, as the driver found them."""

    root: str
    """Absolute folder on the machine of the driver."""
    files: tuple[FileState, ...]
    entry: str = ""
    """Path below the root that the parameter names; "" is the root."""
    portable: bool = True
    """Whether a copy serves as well. An interpreter works only where it was installed."""

    @property
    def path(self) -> str:
        """Place that the parameter names, on the machine of the driver."""
        return str(Path(self.root) / self.entry)

    @property
    def recipe(self) -> dict[str, Any]:
        """Recipe of the copy in the store: names and contents, no place."""
        return {"artifact": "external files", "files": {f.name: f.sha256 for f in self.files}}

    def summary(self) -> dict[str, str]:
        """Place and content, for the record."""
        return {"path": self.path, "sha256": digest(self.recipe["files"])}

    def problem(self) -> str:
        """What this machine lacks of the files, in words; "" where all are there."""
        if not Path(self.path).exists():
            return f"{self.path} is not there"
        for file in self.files:
            path = Path(self.root) / file.name
            try:
                about = path.stat()
            except OSError:
                return f"{path} is not there"
            same = (about.st_size, about.st_mtime_ns) == (file.size, file.mtime_ns)
            if not same and sha256_of(path) != file.sha256:
                return f"{path} has another content"
        return ""

    def publish(self, store: Store) -> None:
        """Copy the files into the store, for machines that do not see the folder.

        The copy is made once for each content. Raises OSError where a file cannot be read, and
        ValueError where one has changed since the driver found it.
        """
        if self.portable:
            store.get(self.recipe, self.copy)

    def copy(self, folder: Path) -> None:
        """Copy the files into an empty folder.

        Raises ValueError where one has changed since the driver found it.
        """
        for file in self.files:
            source, target = Path(self.root) / file.name, folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            # the copy and not the source, which may change again
            if file_sha256(target) != file.sha256:
                raise ValueError(
                    f"{source} has changed since this run was planned; leave the file alone, then"
                    " run the same again"
                )

    def locate(self, store: Store) -> str:
        """Place of the files on this machine: that of the driver, else a copy from the store.

        Raises Unavailable, with the path, where neither is there.
        """
        problem = self.problem()
        if not problem:
            return self.path
        copy = store.find(self.recipe) if self.portable else None
        if copy is None:
            raise Unavailable(
                f"{problem}, though the driver has it; put it at the same path on every machine, or"
                " in a folder that all machines share"
            )
        return str(copy / self.entry)


def find(
    root: Path, names: Iterable[str] | None = None, entry: str = "", *, portable: bool = True
) -> External | None:
    """Files of a folder as a trial carries them; all files where no names are given.

    None where one of them is not there: the check of the model then says what is missing.
    """
    if not (root / entry).exists():
        return None
    paths = files_below(root) if names is None else [root / name for name in names]
    if not all(path.is_file() for path in paths):
        return None
    states = tuple(
        FileState(path.relative_to(root).as_posix(), about.st_size, about.st_mtime_ns, sha)
        for path in paths
        for about, sha in [(path.stat(), sha256_of(path))]
    )
    return External(str(root), states, entry, portable)


def find_path(path: Path) -> External | None:
    """A file, or a folder with all its files, as a trial carries it; None where it is not there."""
    return find(path.parent, [path.name], path.name) if path.is_file() else find(path)


def present(**files: External | None) -> dict[str, External]:
    """The parameters whose files are there."""
    return {name: found for name, found in files.items() if found is not None}


def of_model(model: Any) -> dict[str, External]:
    """External files of a model and of what it wraps, by parameter.

    An embedder's parameters are spelled as in `catalog.model`: "embedder.weights".
    """
    files: Mapping[str, External] = model.external() if hasattr(model, "external") else {}
    inner = getattr(model, "embedder", None)
    deeper = {} if inner is None else of_model(inner)
    return {**files, **{f"embedder.{name}": found for name, found in deeper.items()}}
