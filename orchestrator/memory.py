"""Memory that ran out: a second try with smaller forward passes, where the model can."""

from __future__ import annotations

import contextlib
import gc
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainables import catalog

if TYPE_CHECKING:
    from orchestrator.records import Record
    from trainables.trial import Trial

PARTS = 4
"""Into how many a forward pass is parted when one in a piece was too large."""
WORDS = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""What torch says in errors that are of no class of their own."""


def ran_out(error: BaseException) -> bool:
    """Whether an error tells of memory, the host's or a GPU's."""
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def told(reason: str, parts: int) -> str:
    """The reason, with what was tried.

    >>> told("Unable to allocate 8 GiB", parts=4)
    'out of memory with every batch in 4 parts: Unable to allocate 8 GiB'
    """
    how = f" with every batch in {parts} parts" if parts > 1 else ""
    return f"out of memory{how}: {reason}"


def parts_for(trial: Trial, last: Record | None) -> int:
    """Into how many a trial's forward passes are parted, by what its last try came to."""
    short = last is not None and last["status"] == "out_of_memory"
    return PARTS if short and catalog.card(trial.model).parts else 1


def mark_of(storage: Path, trial_id: str) -> Path:
    """Where it stands how much memory had run out here before the trial began."""
    return storage / "late" / f"{trial_id}.memory"


@contextlib.contextmanager
def marked(mark: Path) -> Iterator[None]:
    """Leave in `mark` how often the kernel has ended a process here; who is ended leaves it."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps({"hostname": platform.node(), "kills": kills()}))
    yield
    mark.unlink(missing_ok=True)


def kernel_ended(mark: Path) -> bool:
    """Whether the kernel has ended a process on this machine since then, for want of memory.

    Nothing is known of another machine.
    """
    try:
        then = json.loads(mark.read_text())
        return then["hostname"] == platform.node() and kills() > int(then["kills"])
    except (FileNotFoundError, IsADirectoryError, ValueError, KeyError, TypeError):
        return False  # none, or a damaged one


def kills(root: Path = Path("/")) -> int:
    """How many processes the kernel has ended for want of memory: of this control group, where it
    counts them, else of this machine; 0 where nobody counts."""
    group = ""
    with contextlib.suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        group = next((line[4:] for line in lines if line.startswith("0::/")), "")
    for counter in (root / "sys/fs/cgroup" / group / "memory.events", root / "proc/vmstat"):
        with contextlib.suppress(OSError):
            for line in counter.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def give_back() -> None:
    """Let go of what a failed try still holds."""
    gc.collect()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()
