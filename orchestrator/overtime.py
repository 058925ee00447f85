"""Time that ran out: a process is ended wherever it hangs, and leaves word of where it was."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator
from pathlib import Path


def mark_of(storage: Path, trial_id: str) -> Path:
    """Where a trial that runs out of time leaves the trace of where it was."""
    return storage / "late" / trial_id


@contextlib.contextmanager
def deadline(mark: Path, seconds: float | None) -> Iterator[None]:
    """End this process after so many seconds, leaving every thread's trace in `mark`.

    Python's own watchdog does it, which asks no lock: it also ends what hangs in compiled code.
    """
    if seconds is None:
        yield
        return
    mark.parent.mkdir(parents=True, exist_ok=True)
    with mark.open("w") as trace:
        trace.write(f"{seconds:g}\n")
        trace.flush()
        faulthandler.dump_traceback_later(seconds, exit=True, file=trace)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    mark.unlink()


def ran_out(mark: Path) -> tuple[float, str] | None:
    """The limit in seconds and the trace that a process out of time left; None where none did."""
    try:
        seconds, _, trace = mark.read_text(errors="replace").partition("\n")
        return (float(seconds), trace) if trace else None  # else it died of something else
    except (FileNotFoundError, IsADirectoryError, ValueError):  # none, or a damaged one
        return None
