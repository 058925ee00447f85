"""What each arm was given before it was compared: settings, trials, hours, and a look at what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.declared import with_declarations
from analysis.figures.style import pretty
from analysis.selection import choose_on_validation
from analysis.table import CELL, ok

HOUR = 3600
COSTS = {"wall_h": "wall_s", "cpu_h": "cpu_s", "gpu_h": "gpu_s"}


def budgets(
    table: pd.DataFrame,
    metric: str,
    pretraining: pd.DataFrame | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """A row an arm: candidates, space, trials, failed, pruned, wall_h, cpu_h, gpu_h, tuning_h,
    selected.

    Hours are of all trials, those that failed, those that were stopped early (`pruned`) and those
    of settings that were not chosen included, and those of `pretraining` too, the rows of trials
    that made weights for an arm. `tuning_h` is the part of wall_h of settings that were not chosen,
    `space` the number of values of each hyperparameter that was varied, and `selected` says what
    was selected on what: settings by the validation score `metric`, or what a model chose by
    itself. `manifest` says which arms' settings a search suggested.
    """
    every = trials_of(table if pretraining is None else pd.concat([table, pretraining]))
    kept = set(choose_on_validation(table, metric)["trial_id"])
    search = (manifest or {}).get("search", {"spaces": {}})
    rows = []
    for model, part in table.groupby("model"):
        trials = every[every["model"] == model]
        unchosen = trials_of(part[~part["trial_id"].isin(kept)])
        rows.append(
            {
                "model": model,
                "candidates": candidates(part),
                "space": space(part["model_params"].unique().tolist()),
                "trials": len(trials),
                "failed": int((~trials["status"].isin(["ok", "not_applicable", "pruned"])).sum()),
                "pruned": int((trials["status"] == "pruned").sum()),
                **{k: trials[s].sum(min_count=1) / HOUR for k, s in COSTS.items()},
                "tuning_h": unchosen["wall_s"].sum() / HOUR,
                "selected": selected(
                    part, metric, search["search"] if model in search["spaces"] else ""
                ),
            }
        )
    return pd.DataFrame(rows)


def trials_of(table: pd.DataFrame) -> pd.DataFrame:
    """A row a trial, with its costs as far as they are known."""
    trials = table.drop_duplicates("trial_id")
    lacking = [name for name in COSTS.values() if name not in trials.columns]
    return trials.assign(**dict.fromkeys(lacking, float("nan")))


def candidates(rows: pd.DataFrame) -> int:
    """The most candidates that one arm tried in any one cell."""
    return int(rows.groupby(CELL)["model_params"].nunique().max())


def space(params: list[str]) -> str:
    """The hyperparameters that were varied, and how many values of each were tried.

    >>> space(['{"C": 1, "folds": 3}', '{"C": 2, "folds": 3}']), space(["{}"])
    ('C: 2', '')
    """
    values: dict[str, set[str]] = {}
    for text in params:
        for name, value in json.loads(text).items():
            values.setdefault(name, set()).add(json.dumps(value, sort_keys=True))
    return ", ".join(f"{name}: {len(those)}" for name, those in values.items() if len(those) > 1)


def selected(rows: pd.DataFrame, metric: str, search: str = "") -> str:
    """What was selected on what, for one arm; nothing where nothing was."""
    own = sorted({str(m).removeprefix("chosen/") for m in ok(rows)["metric"] if "chosen/" in m})
    how = f" as {search} suggested them" if search else ""
    found = [f"settings{how}, by {pretty(metric)}"] if candidates(rows) > 1 else []
    found += [f"{' and '.join(own)}, by the model itself"] if own else []
    if found and on_test(rows):
        found.append("on the very cells that are reported")
    return "; ".join(found)


def on_test(rows: pd.DataFrame) -> bool:
    """Whether the cells to choose on are those that are reported."""
    return bool(with_declarations(rows)["selected_on_test"].eq(True).any())


def warnings(table: pd.DataFrame, compared: set[str]) -> list[str]:
    """What to hold against comparisons of these arms; all arms, if none are named.

    That only some were tuned (those without hyperparameters have nothing to tune, and some tune
    themselves), or that some select on what they report.
    """
    part = table[table["model"].isin(compared or set(table["model"]))]
    found = []
    tried = part[part["model_params"] != "{}"].groupby("model")["model_params"].nunique()
    themselves = {m for m, rows in part.groupby("model") if selected(rows, "")}
    tuned, untuned = tried[tried > 1], tried[(tried == 1) & ~tried.index.isin(themselves)]
    if len(tuned) and len(untuned):
        names = " and ".join(f"{model} ({n} candidates)" for model, n in tuned.items())
        verb = "was" if len(tuned) == 1 else "were"
        found.append(
            f"Only {names} {verb} tuned; {' and '.join(map(str, untuned.index))} ran with one"
            " setting. Part of a difference between them may be the tuning."
        )
    peeked = [str(m) for m, rows in part.groupby("model") if on_test(rows) and selected(rows, "")]
    if peeked:
        verb = "selects" if len(peeked) == 1 else "select"
        found.append(
            f"{' and '.join(peeked)} {verb} on the very cells that are reported: the scores are too"
            " good by an amount that nobody knows."
        )
    return found
