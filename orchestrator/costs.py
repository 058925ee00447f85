"""How long a trial will take, by what the storage's records say of its like."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist, mean, variance
from typing import Any

from orchestrator.dealing import Kind
from orchestrator.records import Ledger, Record
from trainables.cells import recipe
from trainables.store import Store
from trainables.trial import Trial

MOST = 3000
"""Records that are read. Ids are hashes, so the first ones in order are a fair sample."""
SPREAD, STRANGER = 0.3, 0.7
"""The standard deviation of log seconds that is assumed before anything was seen twice, of trials
that are alike and of those that share no more than a model."""
SURE = 0.9
"""Of the intervals."""


@dataclass(frozen=True)
class Cost:
    """Wall seconds of one trial: log-normal."""

    centre: float
    """The mean of log seconds."""
    known_to: float
    """The standard error of `centre`, which trials that are alike share."""
    scatter: float
    """The standard deviation of one trial's log seconds."""
    basis: str

    @property
    def seconds(self) -> float:
        """What it takes on average."""
        return math.exp(self.centre + (self.known_to**2 + self.scatter**2) / 2)


@dataclass
class Costs:
    """Seconds of past trials: of those alike, and of each model against size.

    Alike are trials of one model, task, data set and fraction. Where there are none, a model's log
    seconds are a line in the log of its cells times genes (of slope one while all had one size).
    What so many processes share says nothing of what others, or one alone, will take.
    """

    alike: dict[Hashable, list[float]] = field(default_factory=lambda: defaultdict(list))
    models: dict[Hashable, list[tuple[float | None, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    size: Callable[[str], float | None] = lambda sha256: None
    """Log of cells times genes of a data set, None while it has not been prepared."""
    processes: Callable[[Trial], int] = lambda trial: 1
    """How many will share a trial."""

    def of(self, trial: Trial) -> Cost | None:
        """The cost of a trial, None of a model that was never run."""
        sharing = self.processes(trial)
        if seen := self.alike.get((*name(trial), sharing)):
            n = len(seen)
            # a few values say little of their scatter: as if two more had been seen, `SPREAD` apart
            spread = (variance(seen) * (n - 1) if n > 1 else 0.0) + 2 * SPREAD**2
            scatter = math.sqrt(spread / (n + 1))
            return Cost(mean(seen), scatter / math.sqrt(n), scatter, "its like")
        if not (seen := self.models.get((*family(trial), sharing))):
            return None
        size = self.size(trial.dataset_sha256)
        mine = None if size is None else size + math.log(trial.fraction)
        return fitted(seen, mine)


def fitted(seen: list[tuple[float | None, float]], size: float | None) -> Cost:
    """A model's log seconds at a log size, by a line through those of other sizes."""
    points = [(s, seconds) for s, seconds in seen if s is not None]
    if size is None or not points:
        logs = [seconds for _, seconds in seen]
        spread = math.sqrt(variance(logs)) if len(logs) > 1 else 0.0
        return Cost(mean(logs), max(spread, STRANGER), SPREAD, "its model, at any size")
    x, y = mean(s for s, _ in points), mean(seconds for _, seconds in points)
    across = sum((s - x) ** 2 for s, _ in points)
    # a slope of one, as if seen at two sizes that are a factor of e apart, holds where few were
    slope = (sum((s - x) * (t - y) for s, t in points) + 0.5) / (across + 0.5)
    off = [t - y - slope * (s - x) for s, t in points]
    scatter = math.sqrt((sum(o * o for o in off) + 2 * SPREAD**2) / (len(points) + 1))
    # other cells of the same size differ too, and only so many sizes tell how much
    others = STRANGER**2 / (len({s for s, _ in points}) + 1)
    away = scatter**2 / len(points) + (size - x) ** 2 * STRANGER**2 / (across + 1) + others
    return Cost(y + slope * (size - x), math.sqrt(away), scatter, "its model, by size")


def learned(storage: Path, processes: Callable[[Trial], int] = lambda trial: 1) -> Costs:
    """What the storage's records say of costs, for trials that so many `processes` share."""
    ledger, store = Ledger(storage), Store(storage / "store")
    sizes: dict[str, float | None] = {}

    def size(sha256: str) -> float | None:
        if sizes.get(sha256) is None:
            sizes[sha256] = log_size(store, sha256)
        return sizes[sha256]

    costs = Costs(size=size, processes=processes)
    for record in ledger.current(sorted(ledger.settled_ids())[:MOST]):
        learn(costs, record)
    return costs


def learn(costs: Costs, record: Record) -> None:
    """Take in one record; what was not run has no cost."""
    seconds, trial = record["cost"]["wall_s"], record["trial"]
    if seconds <= 0:
        return
    fraction, sha256 = trial["task_params"]["fraction"], trial["dataset_sha256"]
    model, sharing = (trial["model"], trial["task"]), record.get("processes", 1)
    size, log = costs.size(sha256), math.log(seconds)
    costs.alike[(*model, sha256, fraction, sharing)].append(log)
    costs.models[(*model, sharing)].append(
        (None if size is None else size + math.log(fraction), log)
    )


def log_size(store: Store, sha256: str) -> float | None:
    """Log of cells times genes of a prepared data set."""
    home = store.find(recipe(sha256))
    if home is None:
        return None
    try:
        import h5py
        import numpy as np

        cells = len(np.load(home / "indptr.npy", mmap_mode="r")) - 1
        with h5py.File(home / "names.h5ad") as names:
            var: Any = names["var"]
            genes = len(var[var.attrs["_index"]])
    except (OSError, ValueError, KeyError):  # damaged, and older than seals
        return None
    return math.log(max(1, cells) * max(1, genes))


def family(trial: Trial) -> tuple[str, str]:
    """Trials whose costs have to do with each other."""
    return trial.model, trial.task


def name(trial: Trial) -> tuple[str, str, str, float]:
    """Trials that are taken to cost the same."""
    return (*family(trial), trial.dataset_sha256, trial.fraction)


def kind_of(trial: Trial, place: Hashable) -> Kind:
    """The same, for dealing them out."""
    return Kind(name(trial), family(trial), place)


def together(costs: Iterable[tuple[Cost, int]]) -> tuple[float, float, float]:
    """Seconds of so many trials of each cost, and the bounds of a 90 % interval.

    Trials of one cost share the doubt about it; different costs do not. The sum is taken for
    log-normal, of its mean and variance.
    """
    total = doubt = 0.0
    for cost, n in costs:
        one, all_, alone = cost.seconds, cost.known_to**2, cost.scatter**2
        total += n * one
        doubt += (n * one) ** 2 * math.expm1(all_) + n * one**2 * math.exp(all_) * math.expm1(alone)
    if not total:
        return 0.0, 0.0, 0.0
    log_variance = math.log1p(doubt / total**2)
    width = NormalDist().inv_cdf((1 + SURE) / 2) * math.sqrt(log_variance)
    centre = math.log(total) - log_variance / 2
    return total, math.exp(centre - width), math.exp(centre + width)


@dataclass(frozen=True)
class Makespan:
    """Seconds from the first trial's start to the last one's end: predicted before, and measured.

    The prediction has the bounds of a 90 % interval, and leaves out `unknown` trials of models that
    were never run."""

    predicted: float
    low: float
    high: float
    unknown: int
    actual: float = 0.0


def makespan(
    trials: Iterable[Trial],
    costs: Costs,
    needs: Callable[[Trial], Mapping[str, float]],
    there: Mapping[str, float],
) -> Makespan:
    """How long trials will keep a cluster busy that has `there`, each taking what it `needs`.

    All workers are taken to be busy to the end, which is how trials are dealt out; no less than
    the longest trial.
    """
    groups: dict[Hashable, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[name(trial)].append(trial)
    known, unknown, work, longest = [], 0, 0.0, 0.0
    for some in groups.values():
        if (cost := costs.of(some[0])) is None:
            unknown += len(some)
            continue
        shares = (much / there[what] for what, much in needs(some[0]).items() if there.get(what))
        work += len(some) * cost.seconds * max(shares, default=1.0)
        longest = max(longest, cost.seconds)
        known.append((cost, len(some)))
    total, low, high = together(known)
    seconds = max(work, longest)
    scale = seconds / total if total else 0.0
    return Makespan(round(seconds, 2), round(low * scale, 2), round(high * scale, 2), unknown)
