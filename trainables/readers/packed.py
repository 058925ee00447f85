"""Compressed files and archives, unpacked to a folder that goes when the process ends."""

from __future__ import annotations

import atexit
import functools
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

from trainables.readers.kinds import (
    ARCHIVE_ENDINGS,
    COMPRESSED_ENDINGS,
    ZARR_MARKS,
    beginning,
    decompressed,
    kind_of,
)
from trainables.readers.sparse_folders import matrices_below

CHUNK = 2**24
DEPTH = 6
"""Archives may hold folders in folders, but no more than so many."""


def unpacked(path: Path, kind: str) -> tuple[Path, str]:
    """Return the path to read and its kind; archives of one data set are unpacked for it.

    Raises ValueError for archives that hold several, or that cannot be unpacked.
    """
    depth = 0
    while kind == "packed" and depth < DEPTH:
        stamp = path.stat()
        path = content(path.resolve(), stamp.st_mtime_ns, stamp.st_size)
        kind, depth = kind_of(path), depth + 1
    return path, kind


@functools.lru_cache
def content(path: Path, _written: int, _size: int) -> Path:
    """Return the one file or folder that a compressed file or archive holds, unpacked."""
    home = Path(tempfile.mkdtemp(prefix="gauntlet-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(home / inner_name(path))
            return only_one(home / inner_name(path), path)
        if beginning(path)[0][257:262] == b"ustar":
            with tarfile.open(path) as archive:
                archive.extractall(home / inner_name(path), filter="data")
            return only_one(home / inner_name(path), path)
        return decompressed_to(home, path)
    except OSError as error:
        if error.errno in (28, 122):  # no space, or a quota
            raise ValueError(
                f"{path.name}: no room to unpack it in {home.parent}; unpack it yourself, or set"
                " TMPDIR to a larger disk"
            ) from error
        raise damaged(path) from error
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError) as error:
        raise damaged(path) from error
    except RuntimeError as error:  # zipfile's word for a password
        raise ValueError(
            f"{path.name} cannot be unpacked without a password; unpack it yourself"
        ) from error


def inner_name(path: Path) -> str:
    """Return an archive's name without its ending: that of what it holds.

    >>> inner_name(Path("mine.zarr.zip")), inner_name(Path("mine.tar.gz"))
    ('mine.zarr', 'mine')
    """
    name = path.name
    while Path(name).suffix.lower() in (*ARCHIVE_ENDINGS, *COMPRESSED_ENDINGS):
        name = Path(name).stem
    return name


def damaged(path: Path) -> ValueError:
    """Return the error for what cannot be unpacked."""
    return ValueError(
        f"{path.name} cannot be unpacked: it is damaged or was cut short; copy or download it again"
    )


def decompressed_to(home: Path, path: Path) -> Path:
    """Return the decompressed copy of a file, in a folder."""
    name = path.name
    for ending in COMPRESSED_ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    with decompressed(path) as source, (home / name).open("wb") as target:
        shutil.copyfileobj(source, target, CHUNK)
    return home / name


def only_one(folder: Path, archive: Path) -> Path:
    """Return the one thing to read in an unpacked archive.

    Raises ValueError, which lists the content, where there is none or more than one.
    """
    for _ in range(DEPTH):
        inside = [file for file in sorted(folder.iterdir()) if not is_clutter(file)]
        if len(inside) != 1:
            break
        if inside[0].is_file():
            return inside[0]
        folder = inside[0]
    several = matrices_below(folder)
    if len(several) == 1 or any((folder / mark).exists() for mark in ZARR_MARKS):
        return folder
    several = several or [file for file in files_below(folder) if can_be_read(file)]
    if len(several) == 1:
        return several[0]
    names = [str(file.relative_to(folder)) for file in several or files_below(folder)]
    if not names:
        raise ValueError(f"{archive.name} is an archive without files; make or download it again")
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    raise ValueError(
        f"{archive.name} holds {len(names)} files ({listed}); unpack it and give one of them"
    )


def is_clutter(file: Path) -> bool:
    """Whether a file is no data: those of macOS, and notes beside the data."""
    words = ("readme", "license", "licence", "md5", "sha256", "changelog", "filelist.txt")
    return file.name in ("__MACOSX", ".DS_Store") or file.name.lower().startswith(("._", *words))


def files_below(folder: Path) -> list[Path]:
    """Return every file of data below a folder."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and not is_clutter(file))


def can_be_read(file: Path) -> bool:
    """Whether a file is of a kind that can be read."""
    try:
        return bool(kind_of(file))
    except ValueError:
        return False
