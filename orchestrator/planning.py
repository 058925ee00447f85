"""What would run: trials, which of them are known already, and what the rest may cost."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator import early
from orchestrator.adaptive import Setting, Study, axes, in_words, rule, suggested
from orchestrator.configurations import model_of
from orchestrator.costs import Cost, Costs, learned, name, together
from orchestrator.environments import own
from orchestrator.fidelity import origins
from orchestrator.known_sweeps import find_sweep
from orchestrator.manifests import manifests, newest
from orchestrator.records import Ledger, Record, misjudged, now
from orchestrator.storage import opened, store
from orchestrator.sweep import FIRST, Sweep, find_dataset
from trainables import catalog
from trainables.cells import decision, open_cells, prepare, recipe
from trainables.intake.decision import Decision
from trainables.protocols import Annotator, Dataset, Pretrainer
from trainables.store import canonical
from trainables.trial import Trial


@dataclass(frozen=True)
class Plan:
    """A sweep, spelled out, against what a storage already knows."""

    sweep: Sweep
    trials: list[Trial]
    done: set[str]
    storage: Path
    searched: Mapping[Study, Sequence[Setting]] = field(default_factory=dict)
    """What an adaptive search has added so far."""

    @property
    def to_run(self) -> list[Trial]:
        """The trials without a settled record, in order."""
        return [trial for trial in self.trials if trial.id not in self.done]

    def sources(self) -> dict[str, Dataset]:
        """Every data set that a trial meets, by name."""
        wanted = [*self.sweep.datasets, *self.sweep.pretraining_datasets()]
        return {source.name: source for source in map(find_dataset, wanted)}

    def summary(self) -> dict[str, Any]:
        """The plan in numbers, ready for JSON."""
        return {
            "sweep": self.sweep.name,
            "title": self.sweep.title,
            "trials": len(self.trials),
            "cached": len(self.trials) - len(self.to_run),
            "to_run": len(self.to_run),
            "models": dict(Counter(trial.shown for trial in self.trials)),
            "datasets": sorted({trial.dataset for trial in self.trials}),
            **({"cells": cells} if (cells := self.cells()) else {}),
            "fractions": sorted({trial.fraction for trial in self.trials}),
            "seeds": sorted({trial.seed for trial in self.trials}),
            "stages": len(stages(self.trials)),
            "resources": self.resources(),
            "estimate": self.estimate(),
            **({"weights": weights} if (weights := origins(self.sweep)) else {}),
            **({"differences": differences} if (differences := self.differences()) else {}),
            **({"search": self.search()} if self.sweep.search else {}),
            **({"environments": apart} if (apart := self.environments()) else {}),
        }

    def differences(self) -> list[dict[str, str]]:
        """What the sweep declares not to be as in its paper, ready for JSON."""
        return [asdict(one) for one in self.sweep.differences]

    def cells(self) -> dict[str, str]:
        """One line a data set on its cells, as the intake decided, where that is known already."""
        decisions = {name: self.decision(source) for name, source in self.sources().items()}
        return {name: taken.sentence for name, taken in decisions.items() if taken is not None}

    def decision(self, source: Dataset) -> Decision | None:
        """The intake's decision on a data set; None where it was not prepared yet."""
        own = getattr(source, "intake", None)  # a user's file is decided on for its id
        if own is not None:
            return own.decision
        home = store(self.storage).home(recipe(source.sha256))
        return decision(open_cells(home)) if home.exists() else None

    def environments(self) -> dict[str, list[str]]:
        """The arms that run in an environment of their own, and the packages it is made from."""
        return {arm: list(some) for arm in self.sweep.models if (some := own(model_of(arm)))}

    def search(self) -> dict[str, Any]:
        """How many settings an adaptive search has so far, and how many it will have."""
        several = axes(self.sweep)
        studies = len(several) * len(self.sweep.datasets) * len(self.sweep.fractions)
        added = sum(map(len, self.searched.values()))
        known = studies * min(self.sweep.draws, FIRST) + added
        return {"by": self.sweep.search, "settings": known, "of": studies * self.sweep.draws}

    def resources(self) -> dict[str, dict[str, float]]:
        """What each arm's trials take, all processes of one together."""
        found = {}
        for arm in self.sweep.models:
            model = model_of(arm)
            n = shared_by(model, self.sweep.task, self.sweep.processes)
            found[arm] = {what: n * much for what, much in resources(model, n).items()}
        return found

    def estimate(self) -> dict[str, Any]:
        """Wall seconds of what is to run, all trials together, by this storage's own records, with
        the bounds of a 90 % interval.

        `unknown` counts trials of models that were never run; they are in no sum.
        """
        groups = Counter(name(trial) for trial in self.to_run)
        costs = self.costs()
        one = {name(trial): costs[trial.id] for trial in self.to_run}
        known = [(cost, groups[like]) for like, cost in one.items() if cost is not None]
        total, low, high = together(known)
        numbers = {"trial_seconds": total, "low": low, "high": high}
        bases = sorted({cost.basis for cost, _ in known})
        return {
            **{key: round(seconds, 1) for key, seconds in numbers.items()},
            "unknown": len(self.to_run) - sum(n for _, n in known),
            "basis": f"records of {', of '.join(bases)}" if known else "no records yet",
        }

    @cached_property
    def known(self) -> Costs:
        """What the storage's records say of costs, read once."""
        return known_costs(self.storage, self.sweep.processes)

    def costs(self) -> dict[str, Cost | None]:
        """What each trial to run may take, by its id; None where nothing is known of its model."""
        like: dict[Any, Cost | None] = {}
        for trial in self.to_run:
            if name(trial) not in like:
                like[name(trial)] = self.known.of(trial)
        return {trial.id: like[name(trial)] for trial in self.to_run}

    def longest_first(self) -> list[Trial]:
        """The trials to run: those of unknown cost, then the longest, so that none ends alone."""
        costs = self.costs()

        def seconds(trial: Trial) -> float:
            cost = costs[trial.id]
            return float("inf") if cost is None else cost.seconds

        return sorted(self.to_run, key=seconds, reverse=True)

    def analysis(self) -> dict[str, Any]:
        """The comparisons, and the rule by which seeds are added if they are, with one hash."""
        questions = [asdict(asked) for asked in self.sweep.analysis]
        rules: dict[str, Any] = {}
        if self.sweep.max_seeds:
            rules["stopping"] = self.sweep.stopping()
        if self.sweep.search:
            rules["search"] = rule(self.sweep)
        if self.sweep.stopper:
            rules["stopper"] = early.rule(self.sweep)
        digest = hashlib.sha256(canonical([*questions, *rules.values()]).encode()).hexdigest()
        return {"analysis": questions, "analysis_sha256": digest, **rules}

    def manifest(self) -> dict[str, Any]:
        """What is fixed before the first trial, the comparisons included."""
        sources, cells = self.sources().values(), self.cells()
        cards = {arm: catalog.card(model_of(arm)) for arm in self.sweep.models}
        return {
            "sweep": self.sweep.name,
            "title": self.sweep.title,
            "created_at": now(),
            "headline": catalog.find("tasks", self.sweep.task).headline,
            **self.analysis(),
            "task": self.sweep.task,
            "models": {arm: card.summary for arm, card in cards.items()},
            "weights": origins(self.sweep),
            "differences": self.differences(),
            "controls": {arm: card.control for arm, card in cards.items() if card.control},
            "datasets": {
                s.name: {
                    "sha256": s.sha256,
                    "cells": cells.get(s.name, ""),
                    "summary": s.summary,
                    "citation": getattr(s, "citation", ""),
                    "licence": getattr(s, "licence", ""),
                }
                for s in sources
            },
            "suggested": in_words(self.searched),
            "trials": {trial.id: trial.spec() for trial in self.trials},
        } | ({"processes": self.sweep.processes} if self.sweep.processes > 1 else {})


def plan(sweep: str | Sweep, storage: str | Path = "gauntlet-runs", **changes: Any) -> Plan:
    """Expand a sweep and look up what is known.

    >>> plan("quickstart", "/nonexistent", seeds=1).summary()["trials"]
    16

    Raises LookupError for unknown names, ValueError for impossible designs.
    """
    chosen = find_sweep(sweep).changed(changes)
    place = opened(storage)
    if chosen.stopper:
        early.rule(chosen)
    searched = suggested(place, chosen) if chosen.search else {}
    trials = trials_known(chosen, place) if chosen.max_seeds else chosen.trials(searched)
    if chosen.by_batch:
        refuse_repeated_batches(chosen, place)
    return Plan(chosen, trials, settled(chosen, trials, place), place, searched)


def refuse_repeated_batches(sweep: Sweep, storage: Path) -> None:
    """Raise ValueError where two seeds of a sweep leave out one batch, and so are no replicates."""
    task = catalog.task(sweep.task, sweep.task_params)
    for source in map(find_dataset, sweep.datasets):
        cells = open_cells(prepare(source, store(storage)))
        try:
            task.check(cells)
        except ValueError as error:
            raise ValueError(f"{source.name}: {error}") from None
        first: dict[str, int] = {}
        for seed in sweep.seeds:
            batch = task.drawn(cells, seed).batch
            if batch in first:
                n = cells.obs["batch"].nunique()
                raise ValueError(
                    f"the seeds {first[batch]} and {seed} both leave out batch {batch!r} of"
                    f" {source.name}, which has {n} batches: ask for seeds={n} at most"
                )
            first[batch] = seed


def settled(sweep: Sweep, trials: Sequence[Trial], storage: Path) -> set[str]:
    """The trials that need not run: those with a record that stands.

    A trial that was stopped early stands in sweeps that stop trials early, and in no other; one
    that lacked a package stands where that is still not installed. What `records.misjudged` finds
    does not stand.
    """

    def stands(record: Record) -> bool:
        if record["status"] == "not_applicable":
            return bool(record.get("lacks")) and find_spec(record["lacks"]) is None
        return record["status"] == "pruned" and bool(sweep.stopper)

    ledger = Ledger(storage)
    known = ledger.settled_ids()
    if done := {trial.id for trial in trials if trial.id in known}:
        look_over(sweep.name, done, storage)
        done &= ledger.settled_here()
        done -= misjudged_of(trials, done, ledger)
    others = ledger.current(trial.id for trial in trials if trial.id not in done)
    return done | {record["trial_id"] for record in others if stands(record)}


def misjudged_of(trials: Sequence[Trial], done: set[str], ledger: Ledger) -> set[str]:
    """The settled trials whose record is to be an attempt; only external files can be the cause."""
    suspects = [trial.id for trial in trials if trial.external and trial.id in done]
    return {record["trial_id"] for record in ledger.current(suspects) if misjudged(record)}


def look_over(sweep: str, done: set[str], storage: Path) -> None:
    """Set damaged records aside, opening only those that changed since they were last read."""
    from orchestrator.compact import compacted

    whole: set[str] = set()
    if newest(storage, sweep) is not None:
        whole = set(compacted(storage, sweep)["trial_id"].to_pylist())
    for _ in Ledger(storage).in_parts(sorted(done - whole)):
        pass


def trials_known(sweep: Sweep, storage: Path) -> list[Trial]:
    """The first trials of a sweep that adds seeds, and those that it added so far.

    So a run that is started again goes on where the last one was.
    """
    first, rule = sweep.trials(), sweep.stopping()
    every = manifests(storage, sweep.name)
    if not every or every[-1].get("stopping") != rule:
        return first
    kept = {trial.id for trial in first} | set(every[-1]["trials"])
    whole = replace(sweep, seeds=rule["seeds"])
    return [trial for trial in whole.trials() if trial.id in kept]


def stages(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials in stages, each in the given order: none needs what its own stage or a later makes.

    What no trial of these makes is taken to be there already.
    """
    table = {trial.id: trial for trial in trials}
    depths: dict[str, int] = {}

    def depth(trial: Trial) -> int:
        if trial.id not in depths:
            before = [depth(table[i]) for i in trial.needs() if i in table]
            depths[trial.id] = 1 + max(before, default=-1)
        return depths[trial.id]

    parted: dict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        parted[depth(trial)].append(trial)
    return [parted[n] for n in sorted(parted)]


def with_needs(chosen: Sequence[Trial], trials: Sequence[Trial]) -> list[Trial]:
    """The chosen trials and all of `trials` that they start from, in the order of `trials`."""
    table = {trial.id: trial for trial in trials}
    wanted: set[str] = set()
    waiting = [trial.id for trial in chosen]
    while waiting:
        i = waiting.pop()
        if i in table and i not in wanted:
            wanted.add(i)
            waiting += table[i].needs()
    return [trial for trial in trials if trial.id in wanted]


def shared_by(model: str, task: str, processes: int) -> int:
    """How many of so many processes share a trial: one, where nothing is trained that they could
    share."""
    trains = catalog.find("tasks", task).needs in (Annotator, Pretrainer)
    return processes if trains and catalog.card(model).processes else 1


def known_costs(storage: Path, processes: int) -> Costs:
    """What a storage's records say of the costs of trials that so many processes may share."""
    return learned(storage, lambda trial: shared_by(trial.model, trial.task, processes))


def resources(model: str, processes: int = 1) -> dict[str, float]:
    """What Ray is asked to set aside for each process of a trial of this model.

    One of several has a GPU for itself: NCCL wants that.
    """
    card = catalog.card(model)
    gpus = max(card.gpus, 1.0) if card.gpus and processes > 1 else card.gpus
    return {"CPU": card.cpus} | ({"GPU": gpus} if gpus else {})
