"""Names from elsewhere as paths: each stays below the folder that it was meant for.

Keys of a bucket, members of an archive and ids in a record are written by whoever can write there.
"""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

LONGEST = 255
"""Bytes of a file's name that every file system takes."""


def below(folder: Path, name: str) -> Path:
    """Path of a file in a folder, whose name may have folders of its own: "a/b.json".

    Raises ValueError for a name that leads out of the folder, or that no file can have.

    >>> below(Path("runs"), "records/3f/3f2a.json").as_posix()
    'runs/records/3f/3f2a.json'
    """
    parts = name.split("/")
    plain = not any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
    if not plain or any(len(part.encode(errors="replace")) > LONGEST for part in parts):
        raise ValueError(f"{name!r} is no name of a file in {folder}; remove or rename it")
    return folder.joinpath(*parts)


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of a tar into a folder.

    Raises ValueError for a damaged tar, and for a member that is no file or folder below `folder`;
    links are refused, since a later member could be written through one. Nothing is written then.
    """
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            for member in members:
                name = PurePosixPath(member.name)
                if not (member.isreg() or member.isdir()):
                    raise ValueError(f"{member.name!r} in {archive.name} is a link or a device")
                if not (member.isdir() and not name.parts):  # the folder itself
                    below(folder, member.name)
            tar.extractall(folder, members, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{archive.name} cannot be unpacked: {error}") from error
