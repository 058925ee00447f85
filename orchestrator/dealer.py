"""Which workers Ray Tune keeps, which handful each gets next, and what came of the ones before.

A trial of Tune's is one of our workers, which runs handfuls for as long as its place has any. So
what Tune remembers grows with workers that were started, not with trials that were run.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.tune.search import Searcher

from orchestrator.costs import Costs, kind_of
from orchestrator.dealing import Deck, Kind
from orchestrator.execute import lost
from orchestrator.files import files_of, publish
from orchestrator.machines import Machine, may_come, together
from orchestrator.memory import parts_for
from orchestrator.records import Ledger, Record
from trainables.trial import Trial

Watch = Callable[[str, Trial, Record | None], None]
"""Told ("started" | "ended", trial, its record once it has ended)."""

LOST_WORKERS = 2
"""How often a trial whose worker died is started again. Errors of a trial itself are recorded at
once and never retried: they would only happen again."""
LOOK_EVERY_S = 5.0
"""Seconds between two looks at what the cluster has."""
GROWING = 200
"""Workers that wait for a cluster that may still grow, so that it sees how much is wanted."""


@dataclass(frozen=True)
class Place:
    """What a worker occupies; workers of one place run each other's trials."""

    bundles: tuple[tuple[tuple[str, float], ...], ...]
    """Resources by name, for each process of a trial."""
    packages: tuple[str, ...] = ()
    """Packages of the environment that its trials run in; none for ours."""

    @property
    def machines(self) -> list[Machine]:
        """Resources of each process."""
        return [dict(bundle) for bundle in self.bundles]


def place_of(bundles: list[Machine], packages: tuple[str, ...] = ()) -> Place:
    """Return the place that has these bundles and packages."""
    return Place(tuple(tuple(sorted(bundle.items())) for bundle in bundles), packages)


class Dealer(Searcher):
    """Gives Tune workers for the places that trials wait for, and each worker its handfuls.

    A handful that died loses the trial it was at, which is dealt again alone, twice at most; its
    trials before that have their records, and those after it are dealt as if nothing had been.
    """

    def __init__(
        self,
        table: dict[str, Trial],
        wanted: dict[tuple[str, str], list[Machine]],
        storage: Path,
        code_version: str,
        watch: Watch,
        max_concurrent: int | None,
        costs: Costs,
        environments: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`wanted`: what a trial of a model and task is given, process by process. `environments`:
        packages of the models that run in an environment of their own."""
        super().__init__(metric="trials", mode="max")
        self.table, self.ledger, self.watch = table, Ledger(storage), watch
        self.code_version, self.max_concurrent = code_version, max_concurrent
        self.growing = bool(may_come())
        self.before, self.losses = self.ledger.tries(), Counter[str]()
        self.workers: dict[str, Place] = {}
        """Workers that Tune has, also those that it has not started yet, by the ids of its
        trials."""
        self.pending: dict[str, Place] = {}
        """Workers that have not started."""
        self.out: dict[str, tuple[list[str], Kind]] = {}
        """Handfuls that were handed out, by worker."""
        self.told: set[str] = set()
        """Trials whose start was shown."""
        self.wanted = wanted
        packages = environments or {}
        places = {
            kind: place_of(bundles, packages.get(kind[0], ())) for kind, bundles in wanted.items()
        }
        self.places = list(dict.fromkeys(places.values()))
        kinds = {i: kind_of(trial, places[trial.model, trial.task]) for i, trial in table.items()}
        examples = {kind: table[i] for i, kind in kinds.items()}
        known = {kind: costs.of(trial) for kind, trial in examples.items()}
        self.deck = Deck(
            [(i, kinds[i]) for i in table],
            {kind: cost.seconds for kind, cost in known.items() if cost is not None},
            {kind.place: 0 for kind in examples},
        )
        self.look_round()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searchers for a restore that we never ask for."""
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing, for the same reason."""

    def look_round(self) -> None:
        """Update how many workers of each place the cluster now has room for."""
        has, self.looked = ray.cluster_resources(), time.monotonic()
        for place in self.places:
            needs = together(place.machines)
            fit = min(int(has.get(what, 0) / much + 1e-9) for what, much in needs.items() if much)
            self.deck.room[place] = max(1, min(fit, self.max_concurrent or fit))

    def most_waiting(self) -> int:
        """Number of workers that Tune may have pending: at first all of them, else they would
        start one after another; later `suggest` asks for fewer."""
        if self.growing:
            return GROWING
        most = max(self.deck.room.values(), default=1)
        return most + most // 8 + len(self.deck.room) - 1

    def suggest(self, trial_id: str) -> Any:
        """Return a new worker, as the index of its place; None while no more are wanted.

        A place has a worker for each of its rooms, and a few pending ones. A place without any
        worker comes first.
        """
        if not self.workers and not len(self.deck):
            return Searcher.FINISHED
        if self.max_concurrent and len(self.workers) >= self.max_concurrent:
            return None
        if time.monotonic() - self.looked > LOOK_EVERY_S:
            self.look_round()
        count: Counter[Hashable] = Counter(self.workers.values())
        pending: Counter[Hashable] = Counter(self.pending.values())
        spare = GROWING if self.growing else 1 + max(self.deck.room.values()) // 8
        free = [
            place
            for place, room in self.deck.room.items()
            if count[place] < room + spare and pending[place] < self.deck.waiting[place]
        ]
        place: Any = self.deck.next_place([place for place in free if not count[place]])
        place = place or self.deck.next_place(free)
        if place is None:
            return None
        self.workers[trial_id] = self.pending[trial_id] = place
        return {"place": self.places.index(place)}

    def begin(self, worker: str) -> tuple[list[str], bool] | None:
        """A worker has started: return its first handful, see `deal`."""
        place = self.pending.pop(worker)
        return self.deal(worker, place)

    def go_on(self, worker: str) -> tuple[list[str], bool] | None:
        """A worker has run its handful: return the next one, see `deal`.

        The last trials are left to the pending workers of its place. Else these would start when
        nothing is left to do, and a cluster would grow for them.
        """
        self.collect(worker)
        place = self.workers[worker]
        pending = sum(other == place for other in self.pending.values())
        return self.deal(worker, place) if self.deck.waiting[place] > pending else None

    def deal(self, worker: str, place: Hashable) -> tuple[list[str], bool] | None:
        """Return the ids of a handful, and whether the last worker of its first trial died; None
        where nothing waits for the place, and the worker is to end."""
        dealt = self.deck.deal([place])
        if dealt is None:
            return None
        self.out[worker] = dealt
        first = dealt[0][0]
        self.show_start(first)
        return dealt[0], self.losses[first] > 0

    def show_start(self, i: str) -> None:
        if i not in self.told:
            self.told.add(i)
            self.watch("started", self.table[i], None)

    def show_end(self, i: str, record: Record) -> None:
        self.show_start(i)
        self.watch("ended", self.table[i], record)

    def on_trial_complete(
        self, trial_id: str, result: dict | None = None, error: bool = False
    ) -> None:
        """A worker has ended well: it got no further handful, or Ctrl-C came."""
        if not error:
            self.end(trial_id)

    def end(self, worker: str, died_of: str = "", lacks: bool = False) -> None:
        """A worker has ended, and `died_of` something unless it was to end; see `collect`."""
        place = self.workers.pop(worker, None)
        started = self.pending.pop(worker, None) is None
        if died_of and not started and (dealt := self.deck.deal([place])) is not None:
            self.out[worker] = dealt  # else workers that never start would be tried for ever
        self.collect(worker, died_of, lacks)

    def collect(self, worker: str, died_of: str = "", lacks: bool = False) -> None:
        """Show what a handful came to, and put back what is left of it.

        `lacks`: whether its machine lacked a file, rather than that its worker died.
        """
        if worker not in self.out:
            return
        trials, kind = self.out.pop(worker)
        left = []
        for i in trials:
            record = None if left else self.ended(i)
            if record is None:
                left.append(i)
                continue
            if record["status"] != "pruned":  # which says little of how long others take
                self.deck.learn(kind, record["cost"]["wall_s"])
            self.show_end(i, record)
        if died_of and left:
            self.lose(left.pop(0), kind, died_of, lacks)
        self.deck.put_back(left, kind)

    def ended(self, i: str) -> Record | None:
        """The record of a trial, if one was made since this launch began."""
        if (record := self.ledger.settled(i)) is not None:
            return record
        return self.ledger.last(i) if self.ledger.tries_of(i) > self.before[i] else None

    def lose(self, i: str, kind: Kind, died_of: str, lacks: bool = False) -> None:
        """A worker died at this trial, or its machine lacked a file: again, or once too often."""
        self.losses[i] += 1
        trial = self.table[i]
        if lacks:  # a copy in the storage is seen by whatever machine is next
            # gone or changed on this machine, too: the record will name it
            with contextlib.suppress(OSError, ValueError):
                publish(files_of([trial]), self.ledger.storage)
        parts = parts_for(trial, self.ledger.last(i))
        processes = len(self.wanted[trial.model, trial.task])
        if self.losses[i] <= LOST_WORKERS:
            if "OutOfMemory" in died_of and parts == 1:  # so that it is tried again in parts
                record = lost(trial, died_of, self.code_version, processes=processes)
                self.ledger.commit(record)
                self.before[i] = self.ledger.tries_of(i)
            return self.deck.put_alone(i, kind)
        times = f"{self.losses[i]} times"
        reason = f"{died_of} ({times})" if lacks else f"its worker died {times}: {died_of}"
        record = lost(trial, reason, self.code_version, parts, processes)
        self.ledger.commit(record)
        self.show_end(i, record)
