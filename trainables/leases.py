"""Who does what: one holder at a time, across processes and machines that share a folder.

A lease is a file `NAME.GENERATION` that was created where none was, and that names its holder. A
holder shows that it lives by touching one file of its own, however many leases it has. What the
dead held can be taken again, under the next generation: their files stay, so that two who find the
same one dead ask for the same new file, and one of them gets it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BEAT, DEAD_AFTER = 5.0, 60.0
"""Seconds between two signs of life, and without one before a holder elsewhere counts as dead."""


class Leases:
    """The leases of one holder, in a folder that all who might want the same things share.

    To be used as a context, which drops what is still held. `take` and `drop` may be called from
    one thread at a time.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.me = root, uuid.uuid4().hex
        self.held: dict[str, Path] = {}
        self.over = threading.Event()
        self.heart = threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> Leases:
        self.card.parent.mkdir(parents=True, exist_ok=True)
        self.card.write_text(json.dumps(whoami()))
        self.heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop(list(self.held))
        self.over.set()
        self.heart.join()
        self.card.unlink(missing_ok=True)

    @property
    def card(self) -> Path:
        """Who this is; touched as a sign of life."""
        return self.root / "holders" / self.me

    def beat(self) -> None:
        while not self.over.wait(BEAT):
            with contextlib.suppress(OSError):  # a folder out of reach may come back
                os.utime(self.card)

    def take(self, names: Iterable[str]) -> set[str]:
        """Those of the names that are now this holder's; others have the rest."""
        names = set(names)
        newest: dict[str, int] = {}
        for entry in os.scandir(self.root):
            name, _, generation = entry.name.rpartition(".")
            if name in names:
                newest[name] = max(newest.get(name, 0), int(generation))
        return {name for name in names if self.take_one(name, newest.get(name, 0))}

    def take_one(self, name: str, generation: int) -> bool:
        """Take a name whose newest lease is of this generation, 0 being none."""
        if name in self.held:
            return True
        path = self.root / f"{name}.{generation}"
        if generation and self.lives(path):
            return False
        return self.create(name, self.root / f"{name}.{generation + 1}")

    def create(self, name: str, path: Path) -> bool:
        """Make the file of a lease, whole, if nobody has."""
        draft = self.root / "holders" / f"{self.me}.draft"
        draft.write_text(self.me)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        self.held[name] = path
        return True

    def lives(self, lease: Path) -> bool:
        """Whether a lease's holder still shows signs of life."""
        try:
            holder = self.root / "holders" / lease.read_text()
            who: dict[str, Any] = json.loads(holder.read_text())
            silent = self.card.stat().st_mtime - holder.stat().st_mtime  # one clock: the folder's
        except FileNotFoundError:
            return False  # dropped just now, or left behind by one that ended
        if who["host"] == whoami()["host"]:
            return born(who["pid"]) == who["born"]
        return silent < DEAD_AFTER

    def drop(self, names: Iterable[str]) -> None:
        """Let others have them."""
        for name in names:
            self.held.pop(name).unlink(missing_ok=True)


def whoami() -> dict[str, Any]:
    """This process, so that others can tell whether it lives."""
    pid = os.getpid()
    return {"host": machine(), "pid": pid, "born": born(pid)}


def machine() -> str:
    """The machine's name, and the space of processes in it where there may be several."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        space = 0
    return f"{platform.node()}/{space}"


def born(pid: int) -> str:
    """When a process of this machine started, so that its number can be used again; "" if gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if after_name[0] == "Z" else after_name[19]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    with contextlib.suppress(ProcessLookupError):  # no /proc: a number alone has to do
        os.kill(pid, 0)
        return "alive"
    return ""


@contextlib.contextmanager
def waited_for(root: Path, name: str, every: float = 0.2) -> Iterator[None]:
    """The lease of one name, as soon as nobody else has it."""
    with Leases(root) as leases:
        while not leases.take([name]):
            time.sleep(every)
        yield
