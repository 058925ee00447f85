"""A list of trials on Ray Tune: warm workers, retries for lost ones, one callback to watch."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

QUIET = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` ships the folder and re-installs it
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files a trial that nobody reads
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU shall see none
    "RAY_TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}
for key, value in QUIET.items():
    os.environ.setdefault(key, value)  # Ray reads these when it is imported

import ray
from ray import tune
from ray.tune.search import Searcher

from orchestrator.costs import kind_of, learned
from orchestrator.dealing import PATIENCE, Deck, Kind
from orchestrator.execute import execute, lost
from orchestrator.planning import resources
from orchestrator.records import Ledger, Record
from trainables.trial import Trial

LOST_WORKERS = 2
"""How often a trial whose worker died is started again. Errors of a trial itself are recorded at
once and never retried: they would only happen again."""
GROWING = 200
"""Handfuls that wait for a cluster that may still grow, so that it sees how much is wanted."""

Watch = Callable[[str, Trial, Record | None], None]
"""Told ("started" | "ended", trial, its record once it has ended)."""


def launch(
    trials: Sequence[Trial],
    storage: Path,
    *,
    code_version: str,
    watch: Watch,
    max_concurrent: int | None = None,
    autoscaling: bool = False,
    time_limit: float | None = None,
) -> None:
    """Run trials on the Ray that is connected; every one ends with a record, or Ctrl-C was hit.

    Tune's trials are handfuls of ours, which a `Dealer` makes up as workers become free. Raises
    ValueError for a trial that no machine can hold, unless the cluster may still grow.
    """
    table = {trial.id: trial for trial in trials}
    wanted = {m: what_fits(resources(m), autoscaling) for m in {t.model for t in trials}}
    if not autoscaling:
        refuse_what_never_fits(wanted)
    dealer = Dealer(table, wanted, storage, code_version, watch, max_concurrent, autoscaling)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(dealer.most_waiting())
    # Tune's own state, which resuming never reads: the records say what is done
    with tempfile.TemporaryDirectory(
        prefix="gauntlet-tune-", ignore_cleanup_errors=True
    ) as scratch:
        tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    run_handful,
                    table=[ray.put(table)],
                    storage=str(storage.resolve()),
                    code_version=code_version,
                    time_limit=time_limit,
                ),
                lambda config: tune.PlacementGroupFactory([wanted[config["model"]]]),
            ),
            tune_config=tune.TuneConfig(search_alg=dealer, num_samples=-1, reuse_actors=True),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                callbacks=[Watcher(dealer)],
                failure_config=tune.FailureConfig(max_failures=0),  # the dealer tries again
            ),
        ).fit()


def room(
    trials: Sequence[Trial], max_concurrent: int | None
) -> tuple[Callable[[Trial], dict[str, float]], dict[str, float]]:
    """What each trial takes of the connected Ray, and what is there to take."""
    wanted = {m: what_fits(resources(m), autoscaling=False) for m in {t.model for t in trials}}
    there = {"at once": float(max_concurrent)} if max_concurrent else {}
    return lambda t: wanted[t.model] | {"at once": 1.0}, ray.cluster_resources() | there


def what_fits(wanted: dict[str, float], autoscaling: bool) -> dict[str, float]:
    """What a model wants, without the GPU where there is none and none will come."""
    if autoscaling or ray.cluster_resources().get("GPU"):
        return wanted
    return {what: much for what, much in wanted.items() if what != "GPU"}


def refuse_what_never_fits(wanted: dict[str, dict[str, float]]) -> None:
    """Raise ValueError for a model that asks for more than the connected Ray has.

    Ray would wait for ever for a machine that never comes.
    """
    there = ray.cluster_resources()
    for model, needs in sorted(wanted.items()):
        for what, much in needs.items():
            if much > there.get(what, 0):
                raise ValueError(
                    f"{model} asks for {much:g} {what} and this machine has"
                    f" {there.get(what, 0):g}; leave it out, or name a cluster with --address"
                )


def run_handful(
    config: dict[str, Any], table: list, storage: str, code_version: str, time_limit: float | None
) -> None:
    """The trainable: some trials one after the other, on a worker that stays warm for the next.

    What takes much longer than was predicted ends early, and the dealer deals the rest anew.
    """
    trials, started = fetched(table[0]), time.monotonic()
    for trial_id in config["trials"]:
        execute(trials[trial_id], Path(storage), code_version=code_version, time_limit=time_limit)
        if time.monotonic() - started > PATIENCE:
            break
    tune.report({"trials": len(config["trials"])})


@lru_cache(maxsize=1)
def fetched(table: ray.ObjectRef) -> dict[str, Trial]:
    """The trials of a sweep, once for each worker."""
    return ray.get(table)


class Dealer(Searcher):
    """Gives Tune a handful of trials whenever a worker may want one, and looks what came of it.

    A handful that died loses the trial it was at, which is dealt again alone, twice at most; its
    trials before that have their records, and those after it are dealt as if nothing had been.
    """

    def __init__(
        self,
        table: dict[str, Trial],
        wanted: dict[str, dict[str, float]],
        storage: Path,
        code_version: str,
        watch: Watch,
        max_concurrent: int | None,
        autoscaling: bool,
    ) -> None:
        super().__init__(metric="trials", mode="max")
        self.table, self.ledger, self.watch = table, Ledger(storage), watch
        self.code_version, self.max_concurrent = code_version, max_concurrent
        self.wanted, self.autoscaling = wanted, autoscaling
        self.before, self.losses = self.ledger.tries(), Counter[str]()
        self.out: dict[str, tuple[list[str], Kind]] = {}
        self.told: set[str] = set()
        """Trials whose start was shown."""
        costs = learned(storage)
        kinds = {i: kind_of(trial, place(wanted[trial.model])) for i, trial in table.items()}
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
        """How many handfuls Tune should have ready for workers that become free."""
        if self.autoscaling:
            return GROWING
        return len(self.deck.room) + max(self.deck.room.values(), default=1) // 8

    def suggest(self, trial_id: str) -> Any:
        """A handful for a place that has less out than it has workers, and one to wait for each."""
        if time.monotonic() - self.looked > 5:
            self.look_round()
        out = Counter(kind.place for _, kind in self.out.values())
        spare = GROWING if self.autoscaling else 1 + max(self.deck.room.values()) // 8
        free = {name for name, room in self.deck.room.items() if out[name] < room + spare}
        if self.max_concurrent and len(self.out) >= self.max_concurrent:
            free = set()
        dealt = self.deck.deal(free)
        if dealt is None:
            return None if self.out or len(self.deck) else Searcher.FINISHED
        self.out[trial_id] = dealt
        return {"trials": dealt[0], "model": self.table[dealt[0][0]].model}

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

    def collect(self, trial_id: str, died_of: str = "") -> None:
        """Tell what a handful came to, and put back what is left of it."""
        if trial_id not in self.out:
            return
        trials, kind = self.out.pop(trial_id)
        left = []
        for i in trials:
            record = None if left else self.ended(i)
            if record is None:
                left.append(i)
                continue
            self.deck.learn(kind, record["cost"]["wall_s"])
            self.show_end(i, record)
        if died_of and left:
            self.lose(left.pop(0), kind, died_of)
        self.deck.put_back(left, kind)

    def ended(self, i: str) -> Record | None:
        """The record of a trial, if one was made since this launch began."""
        if (record := self.ledger.settled(i)) is not None:
            return record
        return self.ledger.last(i) if self.ledger.tries_of(i) > self.before[i] else None

    def lose(self, i: str, kind: Kind, died_of: str) -> None:
        """A worker died at this trial: again, or once too often."""
        self.losses[i] += 1
        if self.losses[i] <= LOST_WORKERS:
            return self.deck.put_alone(i, kind)
        reason = f"its worker died {self.losses[i]} times: {died_of}"
        record = lost(self.table[i], reason, self.code_version)
        self.ledger.commit(record)
        self.show_end(i, record)


def place(needs: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """What a trial occupies, as a name."""
    return tuple(sorted(needs.items()))


class Watcher(tune.Callback):
    """Tells the dealer what only Tune's callbacks hear."""

    def __init__(self, dealer: Dealer):
        self.dealer = dealer

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore that we never ask for."""
        return {}

    def on_trial_start(self, iteration, trials, trial, **info) -> None:
        self.dealer.begin(trial.trial_id)

    def on_trial_error(self, iteration, trials, trial, **info) -> None:
        self.dealer.collect(trial.trial_id, died_of=last_line(trial.get_error()))


def last_line(error: Any) -> str:
    """The end of an error's text, where Ray says what happened."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else "no message"


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Ray, quietly: a local one for as long as this lasts, or the cluster at `address`."""
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # which handfuls "did not complete": what became of their trials, the records say
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    ray.init(
        address=address,
        include_dashboard=None if address else False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        gc.collect()  # free Ray's objects here, not in whatever thread collects next
        ray.shutdown()
