"""The syncer at work beside a sweep, which an outage neither slows nor fails."""

from __future__ import annotations

import threading
import time

from orchestrator.tracking import Syncer

REST = 5
"""So many times as long as a pass took, the next one waits: it takes a small part of the time."""


class Mirroring:
    """A syncer on a thread of its own, for as long as a sweep runs.

    `trouble` holds the last error in one line, or "" once everything is mirrored.
    """

    def __init__(self, syncer: Syncer, every: float = 2.0):
        self.syncer, self.every, self.trouble = syncer, every, ""
        self.over, self.at_it, self.troubled = threading.Event(), threading.Lock(), False
        self.thread = threading.Thread(target=self.keep_up, daemon=True)

    def __enter__(self) -> Mirroring:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        waited = self.at_it.locked()
        self.over.set()
        self.thread.join()
        if waited and self.trouble:
            return  # a server that has only just let us wait is not asked again
        if self.troubled:
            self.syncer.mirrored.clear()  # what came of requests without a reply, it looks up
        self.once()

    def keep_up(self) -> None:
        self.once()  # which loads MLflow and makes its tables, and so says nothing of later passes
        pause = self.every
        while not self.over.wait(pause):
            began = time.monotonic()
            self.once()
            pause = max(self.every, REST * (time.monotonic() - began))

    def once(self) -> None:
        """One pass. An outage is remembered in words; the next pass tries everything again."""
        with self.at_it:
            try:
                self.syncer.sync()
                self.trouble = ""
            except Exception as error:  # noqa: BLE001  a tracking server's failure, not the sweep's
                self.trouble = str(error).strip().split("\n")[0] or type(error).__name__
                self.troubled = True
