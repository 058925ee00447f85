"""Who does what: one holder at a time, across processes and machines that share a place.

A lease is a file `NAME.GENERATION` that was created where none was, and that names its holder. A
holder shows that it lives by writing one file of its own again, however many leases it has. What
the dead held can be taken again, under the next generation: their files stay, so that two who find
the same one dead ask for the same new file, and one of them gets it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

BEAT, DEAD_AFTER = 5.0, 60.0
"""Seconds between two signs of life, and without one before a holder elsewhere counts as dead."""


class Place(Protocol):
    """Where leases are: small files by name, the same for all who might want the same things."""

    def names(self) -> list[str]:
        """Of every lease; holders' own files, whose names have a "/", are none."""
        ...

    def create(self, names: list[str], text: str) -> list[bool]:
        """Write each file whole if it is not there; whether it was not."""
        ...

    def write(self, name: str, text: str) -> None: ...

    def read(self, names: list[str]) -> list[str | None]:
        """What each file says; None where there is none."""
        ...

    def written(self, name: str) -> float:
        """When a file was last written, in seconds by the place's own clock.

        Raises FileNotFoundError where there is none.
        """
        ...

    def delete(self, names: list[str]) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A folder as such a place."""

    root: Path

    def names(self) -> list[str]:
        return [entry.name for entry in os.scandir(self.root) if entry.name != "holders"]

    def create(self, names: list[str], text: str) -> list[bool]:
        draft = self.draft(text)
        try:
            return [linked(draft, self.root / name) for name in names]
        finally:
            draft.unlink()

    def write(self, name: str, text: str) -> None:
        self.draft(text).replace(self.root / name)

    def draft(self, text: str) -> Path:
        """A file of ours alone, whole, which can be put anywhere in the folder."""
        path = self.root / "holders" / f"{uuid.uuid4().hex}.draft"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, names: list[str]) -> list[str | None]:
        return [text_of(self.root / name) for name in names]

    def written(self, name: str) -> float:
        return (self.root / name).stat().st_mtime

    def delete(self, names: list[str]) -> None:
        for name in names:
            (self.root / name).unlink(missing_ok=True)


def text_of(path: Path) -> str | None:
    """What a file says, "" of what is no text; None where there is none."""
    try:
        return path.read_text(errors="replace")
    except (IsADirectoryError, NotADirectoryError):
        return ""
    except FileNotFoundError:
        return None


def linked(draft: Path, path: Path) -> bool:
    """Give a file another name, unless something has it."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    return True


class Leases:
    """The leases of one holder, in a folder or place that all who might want the same things share.

    To be used as a context, which drops what is still held. `take` and `drop` may be called from
    one thread at a time.
    """

    def __init__(self, place: Path | Place) -> None:
        self.place = Folder(place) if isinstance(place, Path) else place
        self.me = uuid.uuid4().hex
        self.held: dict[str, str] = {}
        self.over = threading.Event()
        self.heart = threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> Leases:
        self.sign()
        self.heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop(list(self.held))
        self.over.set()
        self.heart.join()
        self.place.delete([card(self.me)])

    def sign(self) -> None:
        """Say who this is, and that it lives."""
        self.place.write(card(self.me), json.dumps(whoami()))

    def beat(self) -> None:
        while not self.over.wait(BEAT):
            with contextlib.suppress(OSError):  # a place out of reach may come back
                self.sign()

    def take(self, names: Iterable[str]) -> set[str]:
        """Those of the names that are now this holder's; others have the rest."""
        names = set(names)
        newest: dict[str, int] = {}
        for lease in self.place.names():
            name, _, generation = lease.rpartition(".")
            if name in names and generation.isdecimal():
                newest[name] = max(newest.get(name, 0), int(generation))
        wanted = names - set(self.held)
        others = [name for name in newest if name in wanted]
        holders = self.place.read([f"{name}.{newest[name]}" for name in others])
        alive = {holder: self.lives(holder) for holder in set(holders)}
        taken = {name for name, holder in zip(others, holders, strict=True) if alive[holder]}
        free = {name: f"{name}.{newest.get(name, 0) + 1}" for name in wanted - taken}
        got = self.place.create(list(free.values()), self.me)
        self.held |= {name: free[name] for name, mine in zip(free, got, strict=True) if mine}
        return names & set(self.held)

    def lives(self, holder: str | None) -> bool:
        """Whether a holder lives: on this machine its process, elsewhere its signs of life."""
        if holder is None:
            return True  # it dropped the lease just now; who looks again finds none
        if not re.fullmatch(r"[\w-]{1,64}", holder):
            return False  # a damaged lease
        (told,) = self.place.read([card(holder)])
        who = signature(told)
        if who is None:
            return False  # it ended, and left the lease behind
        try:
            # one clock: the place's
            silent = self.place.written(card(self.me)) - self.place.written(card(holder))
        except FileNotFoundError:
            return False
        if who["host"] == whoami()["host"]:
            return born(who["pid"]) == who["born"]
        return silent < DEAD_AFTER

    def drop(self, names: Iterable[str]) -> None:
        """Let others have them."""
        self.place.delete([self.held.pop(name) for name in names])


def card(holder: str) -> str:
    """The file in which a holder says who it is."""
    return f"holders/{holder}"


def signature(told: str | None) -> dict[str, Any] | None:
    """Who a holder says that it is; None where its file is not there, or damaged."""
    with contextlib.suppress(ValueError, RecursionError):
        who = json.loads(told or "")
        if isinstance(who, dict) and isinstance(who.get("pid"), int):
            return who if {"host", "born"} <= who.keys() else None
    return None


def whoami() -> dict[str, Any]:
    """This process, so that others can tell whether it lives."""
    pid = os.getpid()
    return {"host": machine(), "pid": pid, "born": born(pid)}


def machine() -> str:
    """The machine's name, its start, since names are not unique, and the space of processes in it
    where there may be several."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
        start = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        space, start = 0, ""
    return f"{platform.node()}/{start}/{space}"


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
def waited_for(place: Path | Place, name: str, every: float = 0.2) -> Iterator[None]:
    """The lease of one name, as soon as nobody else has it."""
    with Leases(place) as leases:
        while not leases.take([name]):
            time.sleep(every)
        yield
