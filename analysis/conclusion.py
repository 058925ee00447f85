"""A recorded sweep -> its comparisons and its report, as the command asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.origins import noted
from analysis.predictions import PREDICTIONS, Predictions, kept_in
from analysis.results import find_storage, histories, kept, planned, results, with_artifacts
from analysis.unscored import Unscored, unscored

if TYPE_CHECKING:
    import pandas as pd


class CannotCompare(Exception):
    """A comparison that was planned cannot be made, and why."""


def preregistered(storage: str | Path, sweep: str) -> pd.DataFrame:
    """The comparisons that the sweep fixed before its first trial, adjusted as one family."""
    return preregistered_or_why(storage, sweep)[0]


def preregistered_or_why(storage: str | Path, sweep: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows of `preregistered`, and why other comparisons of the sweep cannot be made."""
    manifest = planned(storage, sweep)
    table = measured(manifest, storage)
    return answered(manifest, table, comparable(manifest, table), storage)


def without_score(storage: str | Path, sweep: str) -> list[Unscored]:
    """The models of a sweep whose trials all ended without a score."""
    manifest = planned(storage, sweep)
    return unscored(measured(manifest, storage), manifest["models"])


def answered(
    manifest: dict[str, Any], table: pd.DataFrame, asked: list[dict[str, Any]], storage: str | Path
) -> tuple[pd.DataFrame, list[str]]:
    """A family's rows, each stamped as exploratory or not, and why others cannot be made."""
    from analysis.family import family

    rows, reasons = family(table, asked, manifest.get("stopping"), predictions_of(table, storage))
    rows = noted(rows, manifest.get("weights"))
    return stamped(rows, table, storage, manifest["sweep"]), reasons


def predictions_of(table: pd.DataFrame, storage: str | Path) -> Predictions:
    """The predictions of the trials of a tidy table; one that is damaged is made again."""
    place = with_artifacts(table, PREDICTIONS, storage)
    return kept_in(place, partial(run_again, place))


def run_again(place: Path, trial_id: str) -> None:
    """Let the next run of its sweep run a trial again, where the storage may be written."""
    from orchestrator.damage import refused
    from orchestrator.records import Ledger

    ledger = Ledger(place)
    if ledger.settled(trial_id) is None:
        return
    try:
        ledger.reopen(trial_id, lambda record: True)
    except Exception as error:  # noqa: BLE001  `refused` raises what is no refusal
        refused(error)


def seeds_wanted(storage: str | Path, sweep: str) -> dict[tuple[str, str, float], int]:
    """How many seeds each arm of an undecided comparison wants next: by arm, data set and fraction.

    Empty when all is decided, or no look is left. A difference that cannot be tested though there
    are two seeds, as when nothing varies, would be the same with more, and wants none.
    """
    manifest = planned(storage, sweep)
    looks = manifest["stopping"]["looks"]
    wanted: dict[tuple[str, str, float], int] = {}
    rows = preregistered(storage, sweep).fillna({"look": 0, "p": -1.0})
    for row in rows[rows["verdict"] == "undecided"].to_dict("records"):
        done = int(row["look"])
        if done == len(looks) or (row["p"] < 0 and row["n"] > 1) or row["fault"]:
            continue
        for arm in (row["a"], row["b"]):
            place = arm, row["dataset"], row["fraction"]
            wanted[place] = max(wanted.get(place, 0), looks[done])
    return wanted


def compared(
    storage: str | Path,
    sweep: str | None,
    *,
    a: str,
    b: str,
    dataset: str | None,
    metric: str | None,
    test: str,
    margin: float | None,
    correction: str = "holm",
) -> pd.DataFrame:
    """Two models of a sweep (the last one run, if none is named).

    A question that the sweep fixed beforehand is answered as one of its family: adjusted for all
    that was asked with it, whatever part of it is shown here. A question without a margin is that
    question with the margin fixed beforehand. Any other is exploratory, a family of its own.

    Raises LookupError for a model, data set or metric that the sweep does not have, and
    CannotCompare where nothing of a planned comparison can be made.
    """
    from analysis.significance import compare

    manifest = planned(storage, sweep)
    table: Any = measured(manifest, storage)
    for model in (a, b):
        known(model, table["model"], "model")
    if dataset is not None:
        known(dataset, table["dataset"], "data set")
    chosen: str = metric or manifest["headline"]
    known(chosen, table["metric"], "metric")
    asked = {"a": a, "b": b, "metric": chosen, "margin": margin}
    mine = [one for one in comparable(manifest, table) if same_question(asked, one)]
    if mine and (test, correction) == ("auto", "holm"):
        asked["margin"] = mine[0]["margin"]
        others = [one for one in comparable(manifest, table) if one is not mine[0]]
        rows, reasons = answered(manifest, table, [asked, *others], storage)
        rows = rows[(rows["a"] == a) & (rows["b"] == b) & (rows["metric"] == chosen)]
        if rows.empty:
            raise CannotCompare(reasons[0])  # this question was the first of its family
    else:
        predictions = predictions_of(table, storage)
        rows = compare(
            *(table, a, b, chosen),
            test=test,
            margin=margin,
            correction=correction,
            predictions=predictions,
        ).assign(exploratory=True)
        rows = noted(rows, manifest.get("weights"))
    return rows if dataset is None else rows[rows["dataset"] == dataset]


def in_many_ways(
    storage: str | Path,
    sweep: str | None,
    *,
    a: str,
    b: str,
    dataset: str | None,
    metric: str | None,
    margin: float | None,
) -> pd.DataFrame:
    """The question of `compared`, in every way of `analysis.multiverse`; raises as it does."""
    from analysis.multiverse import multiverse

    manifest = planned(storage, sweep)
    table: Any = measured(manifest, storage)
    for model in (a, b):
        known(model, table["model"], "model")
    if dataset is not None:
        known(dataset, table["dataset"], "data set")
        table = table[table["dataset"] == dataset]
    chosen: str = metric or manifest["headline"]
    known(chosen, table["metric"], "metric")
    predictions = kept_in(find_storage(storage), partial(run_again, find_storage(storage)))
    return multiverse(table, a, b, chosen, margin=margin, predictions=predictions)


def same_question(asked: Mapping[str, Any], fixed: Mapping[str, Any]) -> bool:
    """Whether two models were to be compared so, in either order; no margin asks for any."""
    alike = {asked["a"], asked["b"]} == {fixed["a"], fixed["b"]}
    margins = asked["margin"] in (None, fixed["margin"])
    return alike and asked["metric"] == fixed["metric"] and margins


def stamped(
    rows: pd.DataFrame, table: pd.DataFrame, storage: str | Path, sweep: str
) -> pd.DataFrame:
    """The rows with a column `exploratory`: those whose question is not `fixed_beforehand`."""
    from orchestrator.manifests import manifests

    every = manifests(find_storage(storage), sweep)
    asked = rows[["a", "b", "metric", "margin"]].to_dict("records")
    return rows.assign(exploratory=[not fixed_beforehand(one, table, every) for one in asked])


def fixed_beforehand(
    asked: Mapping[Any, Any], table: pd.DataFrame, manifests: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether a question was fixed before the first of the trials that answer it had started.

    A manifest is written before a sweep's trials start, and never changed. One of the sweep's
    manifests, the oldest first, must have had these models, metric and margin, and as many seeds
    as the newest or its rule for adding them, by the time the first trial of either model began,
    be it in this sweep or in another.
    """

    def question(one: Mapping[Any, Any]) -> tuple[Any, ...]:
        margin = one.get("margin")
        return {one["a"], one["b"]}, one["metric"], None if margin != margin else margin

    # a model that cannot run is declined before the manifest is written, and has seen nothing
    ran = table["model"].isin([asked["a"], asked["b"]]) & (table["status"] != "not_applicable")
    begun = table.loc[ran, "started_at"].dropna().min()
    return any(
        question(one) == question(asked)
        for manifest in manifests
        if manifest["created_at"] <= str(begun) and seeds_of(manifest) == seeds_of(manifests[-1])
        for one in manifest["analysis"]
    )


def seeds_of(manifest: Mapping[str, Any]) -> Any:
    """Which seeds a sweep was to run: a rule, or the seeds; not those of weights it makes first."""
    trials = manifest.get("trials", {}).values()
    return manifest.get("stopping") or {
        trial["seed"] for trial in trials if trial["task"] == manifest.get("task")
    }


def write_report(
    storage: str | Path, sweep: str | None, out: Path | None, figures: Path | None = None
) -> Path:
    """The report of a sweep as one HTML file; by default in the storage's `reports`.

    `figures` is a folder for its figures as files of their own.
    """
    from analysis.report import report
    from orchestrator.manifests import manifests, slug
    from orchestrator.storage import share

    manifest, place = planned(storage, sweep), find_storage(storage)
    name = manifest["sweep"]
    own = f"reports/{slug(name)}.html"
    page = out or place / own
    page.parent.mkdir(parents=True, exist_ok=True)
    table = measured(manifest, storage)
    asked, every = comparable(manifest, table), manifests(place, name)
    late = [
        f"{one['a']} against {one['b']}" for one in asked if not fixed_beforehand(one, table, every)
    ]
    report(
        table,
        asked,
        page,
        title=manifest["title"],
        sweep=name,
        manifest=manifest | {"exploratory": ", ".join(late)},
        points=kept(table, "umap.parquet", storage),
        epochs=histories(table, storage),
        predictions=predictions_of(table, storage),
        pretraining=made_weights(manifest, storage),
        figures=figures,
    )
    if out is None:
        share(place, own)
    return page


def reproduced(storage: str | Path, sweep: str) -> dict[str, Any]:
    """The published numbers of a paper's sweep beside those of a storage, run or not.

    `cells` and `tests` are the tables of `analysis.reproduce`; `check` is what `--check` makes of
    them: "passed", "failed", "not run" where no trial of it has a number, or "not judged" where
    neither PASS nor FAIL could be shown of any. Raises LookupError for an unknown sweep.
    """
    from analysis.published import also_of_variants, published
    from analysis.reproduce import Design, checked, published_tests, reproduction
    from orchestrator.faithful import catalog, obstacles
    from orchestrator.fidelity import as_run, stand_ins
    from orchestrator.known_sweeps import find_sweep

    design = find_sweep(sweep)
    if ran(storage, design.name):
        design = as_run(design, planned(storage, design.name)["models"])
    task = catalog.find("tasks", design.task)
    small = ran(storage, f"{design.name}-small")
    waiting = "only scale=small has run, which is not of the published size; "
    waits = {"": f"{waiting * small}run it: gauntlet run {design.name}"}
    told = Design(
        margins={c.metric: c.margin for c in design.analysis if c.margin is not None},
        errors=[name for name, way in task.metrics.items() if way == "lower"],
        datasets=[getattr(source, "name", str(source)) for source in design.datasets],
        obstacles=waits | obstacles(design),
    )
    numbers = also_of_variants(published(design.name), stand_ins(design))
    table = ours(design, storage)
    cells = reproduction(numbers, table, told)
    return {
        "sweep": design.name,
        "title": design.title,
        "check": checked(cells),
        "cells": cells,
        "tests": published_tests(numbers, table),
    }


def ours(design: Any, storage: str | Path) -> pd.DataFrame:
    """The table of a paper's sweep, with what its trials did differently."""
    import pandas as pd

    from orchestrator.faithful import deviation

    if not ran(storage, design.name):
        columns = "trial_id status reason model model_params task dataset fraction seed".split()
        columns += ["metric", "value", "deviates"]
        return pd.DataFrame(columns=columns)
    table = measured(planned(storage, design.name), storage)
    keys = ["model", "dataset", "model_params", "task_params"]
    ways = list(table[keys].itertuples(index=False, name=None))
    found = {way: deviation(design, *way) for way in set(ways)}
    return table.assign(deviates=[found[way] for way in ways])


def ran(storage: str | Path, sweep: str) -> bool:
    """Whether a storage knows a sweep; an empty or missing one knows none."""
    try:
        planned(storage, sweep)
    except LookupError:
        return False
    return True


def measured(manifest: dict[str, Any], storage: str | Path) -> pd.DataFrame:
    """A sweep's table without the pretraining that its trials started from."""
    table = results(manifest["sweep"], storage)
    return table[table["task"] == manifest.get("task", table["task"])].reset_index(drop=True)


def made_weights(manifest: dict[str, Any], storage: str | Path) -> pd.DataFrame:
    """The rows of the pretraining that a sweep's trials started from."""
    table = results(manifest["sweep"], storage)
    return table[table["task"] != manifest.get("task", table["task"])]


def comparable(manifest: dict[str, Any], table: pd.DataFrame) -> list[dict[str, Any]]:
    """The comparisons fixed beforehand, but for those of an arm whose trials are all to come.

    `gauntlet run SWEEP --only ARM` leaves such a table behind.
    """
    waiting = set(manifest["models"]) - set(table["model"])
    return [pair for pair in manifest["analysis"] if not waiting & {pair["a"], pair["b"]}]


def known(name: str, column: Any, what: str) -> None:
    """Raise LookupError, naming what there is, for a name that a column lacks."""
    there = sorted(column.dropna().unique())
    if name not in there:
        raise LookupError(f"this sweep has no {what} {name!r}; there are: {', '.join(there)}")
