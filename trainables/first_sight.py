"""Trust on first use: a file's hash is written down at first sight, and compared ever after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables.store import file_sha256


@dataclass(frozen=True)
class FirstSight:
    """What was seen first of some files, in a ledger of JSON."""

    ledger: Path
    owner: str
    """Whose files they are, as a sentence begins."""
    way: str
    """What to do about one that changed, as a sentence ends."""
    revision: str = ""
    """Commit of the hub that new files are taken from, where one is declared."""

    def entries(self) -> dict[str, dict[str, Any]]:
        """Every file's recorded sha256, since when, and its size and time then, by name."""
        return json.loads(self.ledger.read_text()) if self.ledger.exists() else {}

    def record(self, path: Path) -> str:
        """Write a file's hash down as the one to expect from now on."""
        known = {**state(path), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        known |= {"revision": self.revision} if self.revision else {}
        return self.write(path.name, {**known, "sha256": file_sha256(path)})

    def write(self, name: str, entry: dict[str, Any]) -> str:
        """Put an entry into the ledger, whole or not at all; the hash in it."""
        entries = self.entries() | {name: entry}
        draft = self.ledger.with_name(f"{self.ledger.name}.draft")
        draft.write_text(json.dumps(entries, indent=1, sort_keys=True))
        draft.replace(self.ledger)
        return entry["sha256"]

    def hash(self, path: Path, *, anew: bool = False) -> str:
        """A file's sha256, recorded where it was not.

        The bytes are read again when size or time differ from the record, or when asked `anew`.
        Raises ValueError when they are not the recorded ones.
        """
        known, now = self.entries().get(path.name), state(path)
        if known is None:
            return self.record(path)
        same = now.items() <= known.items()
        if not same or anew:
            self.compare(path.name, file_sha256(path))
        return known["sha256"] if same else self.write(path.name, known | now)

    def compare(self, name: str, sha256: str) -> None:
        """Raise ValueError for a file that is not the one recorded."""
        known = self.entries().get(name)
        if known and known["sha256"] != sha256:
            raise ValueError(
                f"{self.owner}: {name} has sha256 {sha256[:12]}, but {known['sha256'][:12]} was"
                f" recorded on {known['since'][:10]}: the file changed; {self.way}"
            )


def state(path: Path) -> dict[str, int]:
    """A file's size and time."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
