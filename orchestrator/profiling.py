"""Where does one trial's time go? A look at its stack every few milliseconds."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.execute import Done, attempt
from orchestrator.manifests import read_manifest, recorded_sweeps
from trainables.trial import Trial

EVERY = 0.005
"""Seconds between two looks."""

PHASES = {
    "importlib/_bootstrap": "import",
    "frozen importlib": "import",
    "trainables/cells.py": "load",
    "trainables/store.py": "load",
    "trainables/networks/weights.py": "load",
    "trainables/genes/": "tokenise",
    "torch/autograd/": "backward",
    "torch/_tensor.py": "backward",
    "torch/optim/": "optimise",
    "torch/nn/": "forward",
    "trainables/metrics/": "evaluate",
    "trainables/tasks/": "evaluate",
    "trainables/models/": "model",
    "trainables/networks/": "model",
    "orchestrator/artifacts.py": "record",
    "orchestrator/execute.py": "record",
}
"""What runs in a file whose path holds this; the innermost that is here decides, and in one file
the first. "model" is what a model does beside all these, such as fitting without torch."""

ROOMS = ("trainables/", "orchestrator/")


class Sampler:
    """Looks at the thread that made it, from one of its own, until the context ends."""

    def __init__(self) -> None:
        self.watched = threading.get_ident()
        self.phases: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.seconds = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def __enter__(self) -> Sampler:
        self.started = time.perf_counter()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.seconds = time.perf_counter() - self.started

    def look(self) -> None:
        """Count a look for its phase and place; a late one counts for the time that it missed."""
        before = time.perf_counter()
        while not self.over.wait(EVERY):
            frame = sys._current_frames().get(self.watched)
            now = time.perf_counter()
            phase, place = where(frame)
            self.phases[phase] += now - before  # pyright: ignore[reportArgumentType]
            self.places[place] += now - before  # pyright: ignore[reportArgumentType]
            before = now


def where(frame: FrameType | None) -> tuple[str, str]:
    """The phase that a stack is in, and the innermost function of ours on it."""
    phase, place = "", ""
    while frame is not None:
        file = frame.f_code.co_filename.replace("\\", "/")
        found = next((name for part, name in PHASES.items() if part in file), "")
        phase = phase or found
        room = next((file.rindex(room) for room in ROOMS if room in file), None)
        if not place and room is not None:
            place = f"{file[room:]}:{frame.f_code.co_name}"
        frame = frame.f_back
    return phase or "other", place or "other"


def profile(trial_id: str, storage: Path) -> dict[str, Any]:
    """Run a trial again, here and for no record: seconds by phase and by function of ours.

    What the storage keeps, prepared cells and embeddings among them, is found there as it would be
    by a trial of today. Raises LookupError for a trial that no sweep of this storage has.
    """
    trial = known_trial(trial_id, storage)
    with tempfile.TemporaryDirectory() as scratch, Sampler() as sampler:
        done: Done = attempt(trial, storage, Path(scratch), lambda metrics: None)
    return {
        "trial_id": trial.id,
        "model": trial.shown,
        "status": done.status,
        "reason": done.reason,
        "seconds": round(sampler.seconds, 3),
        "phases": shares("phase", sampler.phases),
        "functions": shares("function", sampler.places)[:10],
    }


def shares(what: str, counted: Counter[str]) -> list[dict[str, Any]]:
    """Seconds and their share, the largest first."""
    return [
        {what: name, "seconds": round(seconds, 3), "share": f"{seconds / counted.total():.0%}"}
        for name, seconds in counted.most_common()
    ]


def known_trial(trial_id: str, storage: Path) -> Trial:
    """A planned trial by its id or the beginning of it."""
    found = {
        i: spec
        for name in recorded_sweeps(storage)
        for i, spec in read_manifest(storage, name)["trials"].items()
        if i.startswith(trial_id)
    }
    if len(found) != 1:
        what = f"{len(found)} trials begin with" if found else "no sweep has a trial"
        raise LookupError(
            f"{what} {trial_id!r} in {storage}; gauntlet results lists trial_id in its last column"
        )
    return Trial(**next(iter(found.values())))
