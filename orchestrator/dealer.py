"""Which handful of trials Ray Tune gets next, and what came of the ones before."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
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
GROWING = 200
"""Handfuls that wait for a cluster that may still grow, so that it sees how much is wanted."""


class Dealer(Searcher):
    """Gives Tune a handful of trials whenever a worker may want one, and looks what came of it.

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
    ) -> None:
        """`wanted`: what a trial of a model and task is given, process by process."""
        super().__init__(metric="trials", mode="max")
        self.table, self.ledger, self.watch = table, Ledger(storage), watch
        self.code_version, self.max_concurrent = code_version, max_concurrent
        self.growing = bool(may_come())
        self.before, self.losses = self.ledger.tries(), Counter[str]()
        self.out: dict[str, tuple[list[str], Kind]] = {}
        self.told: set[str] = set()
        """Trials whose start was shown."""
        self.wanted = wanted
        places = {kind: place(together(bundles)) for kind, bundles in wanted.items()}
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
        """How many handfuls of each kind the cluster now has room for."""
        there, self.looked = ray.cluster_resources(), time.monotonic()
        for name in self.deck.room:
            needs: dict[str, float] = dict(name)  # type: ignore[call-overload]
            fit = min(int(there.get(what, 0) / much + 1e-9) for what, much in needs.items() if much)
            self.deck.room[name] = max(1, min(fit, self.max_concurrent or fit))

    def most_waiting(self) -> int:
        """How many handfuls Tune may have that wait for a worker: at first for all of them, else
        they would start one after another; later `suggest` gives fewer."""
        if self.growing:
            return GROWING
        most = max(self.deck.room.values(), default=1)
        return most + most // 8 + len(self.deck.room) - 1

    def suggest(self, trial_id: str) -> Any:
        """A handful for a place that has less out than it has workers, and one to wait for each."""
        if time.monotonic() - self.looked > 5:
            self.look_round()
        out = Counter(kind.place for _, kind in self.out.values())
        spare = GROWING if self.growing else 1 + max(self.deck.room.values()) // 8
        free = {name for name, room in self.deck.room.items() if out[name] < room + spare}
        if self.max_concurrent and len(self.out) >= self.max_concurrent:
            free = set()
        dealt = self.deck.deal(free)
        if dealt is None:
            return None if self.out or len(self.deck) else Searcher.FINISHED
        self.out[trial_id] = dealt
        first = self.table[dealt[0][0]]
        again = self.losses[first.id] > 0
        return {"trials": dealt[0], "model": first.model, "task": first.task, "again": again}

    def begin(self, trial_id: str) -> None:
        """A handful has a worker."""
        self.show_start(self.out[trial_id][0][0])

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
        """A handful has ended, whole or not: by its last trial, by its time, or by Ctrl-C."""
        if not error:
            self.collect(trial_id)

    def collect(self, trial_id: str, died_of: str = "", lacks: bool = False) -> None:
        """Show what a handful came to, and put back what is left of it.

        `lacks`: whether its machine lacked a file, rather than that its worker died.
        """
        if trial_id not in self.out:
            return
        trials, kind = self.out.pop(trial_id)
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
            with contextlib.suppress(OSError):  # gone here, too: the record will name it
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


def place(needs: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """What a trial occupies, as a name."""
    return tuple(sorted(needs.items()))
