"""Settings that are suggested after what came of those before, in rounds, on validation scores.

A *study* is one arm on one data set at one label share. Its first settings are the draws that a
random search would begin with; every later round asks Ray Tune's `OptunaSearch` for a few more. A
setting is tried with every seed, and its mean validation score is all that the searcher is told of
it: nothing of a test cell chooses.

Nothing is kept for this but manifests (which settings, in which order) and records (their scores).
A round is a function of the two, so it is the same however many workers there are, on whatever
machine, and after a kill: what has a record is told to the searcher again instead of being run.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from orchestrator.configurations import Sampled, Tried, expanded
from orchestrator.declared import better
from orchestrator.manifests import newest, read
from orchestrator.records import Ledger, Record
from orchestrator.sweep import FIRST, Sweep, find_dataset
from trainables import catalog
from trainables.seeds import random_state
from trainables.store import canonical

if TYPE_CHECKING:
    from orchestrator.planning import Plan

Study = tuple[str, str, float]
"""An arm, a data set and a fraction."""
Setting = dict[str, Any]
"""Values of the hyperparameters that are searched."""

TOGETHER = 4
"""Settings that a study tries at a time: with fewer, workers would wait; with more, less would be
known when they are suggested."""
SEARCHES = ("optuna",)


@dataclass(frozen=True)
class Told:
    """What the searcher is told of a setting: its score, or that it has none and why."""

    status: str
    score: float | None = None
    epochs: tuple[float, ...] = ()
    """The validation scores of a setting that was stopped early."""


def rule(sweep: Sweep) -> dict[str, Any]:
    """How a sweep is searched, as it is hashed with the comparisons.

    Raises LookupError for a search that nobody knows, and ValueError where there is nothing to
    search, nothing to search by, or nothing to search with.
    """
    if sweep.search not in SEARCHES:
        raise LookupError(catalog.unknown("search", sweep.search, list(SEARCHES)))
    if sweep.max_seeds:
        raise ValueError("either seeds are added (max_seeds) or settings are searched, not both")
    if not axes(sweep):
        raise ValueError(
            f"the sweep {sweep.name!r} draws no hyperparameter, so there is nothing to search: give"
            " one a distribution, such as loguniform(1e-3, 1e3)"
        )
    for arm in axes(sweep):
        gridded = [k for k, v in sweep.models[arm].items() if isinstance(v, Tried)]
        if gridded:
            raise ValueError(f"{arm}.{gridded[0]} is a grid, which cannot be searched; use choice")
    if importlib.util.find_spec("optuna") is None:
        raise ValueError(
            "search=optuna needs Optuna: uv sync --extra adaptive, or pip install"
            " 'sc-gauntlet[adaptive]'"
        )
    spaces = {arm: {k: repr(v) for k, v in sweep.models[arm].items()} for arm in axes(sweep)}
    by = {"metric": score_of(sweep), "draws": sweep.draws, "first": FIRST, "together": TOGETHER}
    what = {"seeds": list(sweep.seeds), "task_params": dict(sweep.task_params), "spaces": spaces}
    return {"search": sweep.search, **by, **what}


def score_of(sweep: Sweep) -> str:
    """The validation score that a sweep searches and stops by.

    Raises ValueError where the task holds no cells out to choose on.
    """
    task = catalog.find("tasks", sweep.task)
    headline = task.headline
    valid = headline.replace("test/", "valid/", 1)
    if valid == headline or valid not in getattr(task, "metrics", {}):
        raise ValueError(
            f"the task {sweep.task} has no validation score in its `metrics`, and nothing may be"
            " chosen by what is reported: leave search and stopper out, or name each candidate as"
            " an arm"
        )
    return valid


def mode_of(task: str, metric: str) -> str:
    """Whether a search wants the highest or the lowest score of a metric: "max" or "min"."""
    return "min" if better(task, [metric]).get(metric) == "lower" else "max"


def axes(sweep: Sweep) -> dict[str, dict[str, Any]]:
    """The hyperparameters that are searched, of the arms that have any."""
    found = {
        arm: {key: value for key, value in space.items() if isinstance(value, Sampled)}
        for arm, space in sweep.models.items()
    }
    return {arm: space for arm, space in found.items() if space}


def suggested(storage: Path, sweep: Sweep) -> dict[Study, list[Setting]]:
    """The settings that earlier rounds added, if they were added by the same rule.

    More draws than last time go on from there.
    """
    kept = newest(storage, sweep.name)
    last = (kept and read(storage, kept)) or {}
    if last.get("search", {}) | {"draws": 0} != rule(sweep) | {"draws": 0}:
        return {}
    return {(*one["study"],): one["settings"] for one in last["suggested"]}


def in_words(searched: Mapping[Study, Sequence[Setting]]) -> list[dict[str, Any]]:
    """The same, ready for JSON."""
    return [{"study": list(study), "settings": [*some]} for study, some in searched.items()]


def next_round(planned: Plan) -> Plan | None:
    """The plan with a few more settings for each study whose trials have ended; None at the end.

    A study that no setting applies to is given no more.
    """
    from orchestrator.planning import settled

    sweep, found = planned.sweep, dict(planned.searched)
    for study, tried in told(planned).items():
        n = min(TOGETHER, sweep.draws - len(tried))
        waits = any(told.status == "missing" for _, told in tried)
        if n > 0 and not waits and any(told.status != "not_applicable" for _, told in tried):
            seed = random_state(len(tried), f"search {study[0]}")
            mode = mode_of(sweep.task, score_of(sweep))
            more = suggest(axes(sweep)[study[0]], tried, n, seed, mode)
            found[study] = [*found.get(study, []), *more]
    if found == planned.searched:
        return None
    trials = sweep.trials(found)
    done = settled(sweep, trials, planned.storage)
    return replace(planned, trials=trials, done=done, searched=found)


def told(planned: Plan) -> dict[Study, list[tuple[Setting, Told]]]:
    """What came of every setting of every study so far, in the order they were suggested."""
    sweep, metric = planned.sweep, score_of(planned.sweep)
    records = {r["trial_id"]: r for r in Ledger(planned.storage).current(
        trial.id for trial in planned.trials
    )}  # fmt: skip
    spaces = axes(sweep)
    of_setting: dict[tuple[Study, str], list[Record | None]] = defaultdict(list)
    for trial in planned.trials:
        if trial.task == sweep.task and trial.shown in spaces:
            study = trial.shown, trial.dataset, trial.fraction
            values = {key: trial.model_params[key] for key in spaces[trial.shown]}
            of_setting[study, canonical(values)].append(records.get(trial.id))
    found = {}
    names = [find_dataset(source).name for source in sweep.datasets]
    for study in itertools.product(spaces, names, sweep.fractions):
        first = expanded(study[0], spaces[study[0]], min(sweep.draws, FIRST))
        settings = [*first, *planned.searched.get(study, [])]
        found[study] = [(s, came_of(of_setting[study, canonical(s)], metric)) for s in settings]
    return found


def came_of(records: Sequence[Record | None], metric: str) -> Told:
    """What came of one setting, over its seeds.

    A setting has a score where all its trials ended well. Raises ValueError where these have none
    of that name.
    """
    for status in ("missing", "pruned", "failed", "not_applicable"):
        some = [r for r in records if (outcome(r) == status)]
        if some and status == "pruned":
            histories = [r["history"] for r in some if r is not None]
            longest = max(histories, key=len)
            return Told(status, epochs=tuple(h[metric] for h in longest if metric in h))
        if some:
            return Told(status)
    scores = [r["metrics"].get(metric) for r in records if r is not None]
    if None in scores:
        raise ValueError(f"trials report no {metric}, and nothing else may choose: search nothing")
    return Told("ok", mean(scores))


def outcome(record: Record | None) -> str:
    """An outcome, all failures as one."""
    if record is None:
        return "missing"
    known = record["status"] in ("ok", "pruned", "not_applicable")
    return record["status"] if known else "failed"


def suggest(
    space: Mapping[str, Any],
    tried: Sequence[tuple[Setting, Told]],
    n: int,
    seed: int,
    mode: str = "max",
) -> list[Setting]:
    """The next settings, by Optuna's tree-structured Parzen estimator as Ray Tune drives it.

    `mode`: "max" where higher scores are better, else "min".
    """
    import optuna
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    domains = {key: value.to_ray() for key, value in space.items()}
    # a choice by its place, as values may be lists
    choices = {key: d.categories for key, d in domains.items() if hasattr(d, "categories")}
    domains |= {key: tune.choice(range(len(values))) for key, values in choices.items()}
    searcher = OptunaSearch(
        OptunaSearch.convert_search_space(domains), metric="score", mode=mode, seed=seed
    )
    for setting, told in tried:
        point = setting | {k: place(setting[k], values) for k, values in choices.items()}
        failed, pruned = told.score is None and told.status != "pruned", told.status == "pruned"
        # a setting that was stopped has no score, but how it began
        searcher.add_evaluated_point(
            point, told.score, failed, pruned, list(told.epochs)  # type: ignore[arg-type]
        )  # fmt: skip
    found: list[Setting] = [searcher.suggest(str(i)) or {} for i in range(n)]
    return [one | {k: values[one[k]] for k, values in choices.items()} for one in found]


def place(value: Any, values: Sequence[Any]) -> int:
    """Where a value is among choices, whose tuples JSON makes lists."""
    return [canonical(known) for known in values].index(canonical(value))
