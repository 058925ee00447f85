"""The files of published data: where each is had, and the folder where it lies afterwards."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.downloads import Patience, Progress, fetch
from trainables.external import absolute, environment
from trainables.layouts import damaged


def data_home() -> Path:
    """Folder of downloaded data: `$GAUNTLET_DATA`, else `gauntlet-data` here."""
    return absolute(environment("GAUNTLET_DATA", "gauntlet-data"))


@dataclass(frozen=True)
class Web:
    """A file at an address.

    Without a hash from the source, the one of the first download is recorded and holds from then
    on: that does not prove the first download right, but no later one can differ unnoticed.
    """

    file: str
    url: str
    sha256: str = ""
    git_blob: str = ""
    """The SHA-1 by which the git repository that holds the file knows its content."""

    def get(self, path: Path, dataset: str, patience: Patience, progress: Progress) -> None:
        """Download to `path`; see `downloads.fetch` for what can go wrong."""
        try:
            fetch(self.url, path, self.sha256, self.git_blob, patience=patience, progress=progress)
        except LookupError as error:
            raise LookupError(
                f"{error}; or get it on another machine and run: {adding(dataset, [self])}"
            ) from error


@dataclass(frozen=True)
class ByHand:
    """A file that only a browser gets, such as one of a Google Drive folder."""

    file: str
    page: str
    sha256: str = ""
    git_blob: str = ""

    def get(self, path: Path, dataset: str, patience: Patience, progress: Progress) -> None:
        """There is no way but the browser, so say it."""
        raise LookupError(
            f"{self.file} can only be downloaded by hand: open {self.page}, save it, then run:"
            f" {adding(dataset, [self])}"
        )


@dataclass(frozen=True)
class Made:
    """A file that another package's own loader makes from its own downloads."""

    file: str
    package: str
    extra: str
    make: Callable[[Any, Path], Any]
    """Given the imported package and an empty folder for its downloads, the cells."""
    sha256: str = ""
    git_blob: str = ""

    def get(self, path: Path, dataset: str, patience: Patience, progress: Progress) -> None:
        """Ask the package, and keep what it gives."""
        try:
            module = importlib.import_module(self.package)
        except ImportError as error:
            raise LookupError(
                f"{dataset} is loaded by {self.package}, which is not installed; install it with:"
                f" pip install 'sc-gauntlet[{self.extra}]'"
            ) from error
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            try:
                cells = self.make(module, Path(folder))
            except OSError as error:
                raise LookupError(
                    f"{self.package} could not download {dataset} ({error}); try again, or make it"
                    f" on another machine and run: {adding(dataset, [self])}"
                ) from error
            draft = Path(folder) / path.name
            cells.write_h5ad(draft)
            draft.replace(path)


File = Web | ByHand | Made


def adding(dataset: str, files: Sequence[File]) -> str:
    """The command that takes files from elsewhere."""
    return f"gauntlet data add {dataset} {' '.join(file.file for file in files)}"


def unpacked(archive: Path, names: set[str], folder: Path) -> dict[str, Path]:
    """Files of these names inside a zip, wherever in it, written to a folder.

    Raises ValueError for a damaged zip.
    """
    found = {}
    try:
        with zipfile.ZipFile(archive) as box:
            for member in box.infolist():
                name = Path(member.filename).name
                if name in names:
                    with box.open(member) as packed, (folder / name).open("wb") as plain:
                        shutil.copyfileobj(packed, plain, 1 << 20)
                    found[name] = folder / name
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(damaged(archive)) from error
    return found
