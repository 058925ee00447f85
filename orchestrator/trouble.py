"""Storage that cannot be written, because it is full, failing or gone: no outcome of any trial."""

from __future__ import annotations

import contextlib
import errno
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
CANNOT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE}
WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts at a write that must not be lost."""


class CannotWrite(Exception):
    """Says in one sentence what cannot be written, and what to do."""


def cannot_write(error: BaseException) -> bool:
    """Whether an error tells of storage.

    Copying a folder has an error of its own for it, and numpy one without a number.
    """
    if not isinstance(error, OSError):
        return False
    unnumbered = isinstance(error, shutil.Error) or " requested and " in str(error)
    return unnumbered or error.errno in CANNOT


def sentence(error: BaseException, storage: Path) -> str:
    """What is wrong, where, and how to go on.

    >>> sentence(OSError(errno.EIO, "Input/output error"), Path("runs")).partition(" (")[0]
    'cannot write to runs: Input/output error'
    """
    where, why = getattr(error, "filename", None), getattr(error, "strerror", None)
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        why = error.args[0][0][2].partition("] ")[2].partition(": ")[0]  # of the first file
    return (
        f"cannot write to {where or storage}: {why or 'no room'} (on {platform.node()});"
        " what is recorded stands, so mend that and run the same again"
    )


@lru_cache(maxsize=1000)
def say(sentence: str) -> None:
    """Print a sentence on standard error, once a process."""
    print(f"gauntlet: {sentence}", file=sys.stderr)


@contextlib.contextmanager
def in_words(storage: Path) -> Iterator[None]:
    """An error of storage inside of this is raised as CannotWrite."""
    try:
        yield
    except OSError as error:
        if not cannot_write(error):
            raise
        raise CannotWrite(sentence(error, storage)) from error


def patiently(write: Callable[[], T]) -> T:
    """Do a write, again after a while where storage fails: it may hold hours of computing."""
    for seconds in WAITS:
        try:
            return write()
        except OSError as error:
            if not cannot_write(error):
                raise
        time.sleep(seconds)
    return write()
