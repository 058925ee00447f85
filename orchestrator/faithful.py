"""Whether what was run is what a sweep says, and what keeps the rest of it from running here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.configurations import expanded, model_of
from orchestrator.sweep import Pretraining, Sweep, find_dataset
from trainables import catalog
from trainables.networks import MADE_BY
from trainables.protocols import NotApplicable

ABSENT = "absent:"


def deviation(sweep: Sweep, arm: str, dataset: str, params: str, task_params: str) -> str:
    """What a trial of an arm did differently from the sweep, in words; "" where nothing.

    `params` and `task_params` are those of the tidy table. Weights that are not on this disk can
    only be told from none and from a trial's own, not from one another.
    """
    if arm not in sweep.models:
        return f"the sweep has no model {arm!r}"
    task = catalog.spelled_out(catalog.task(sweep.task, sweep.task_params))
    asked = {key: value for key, value in task.items() if key != "fraction"}
    given = {key: value for key, value in json.loads(task_params).items() if key != "fraction"}
    if found := differing(asked, given):
        return found
    had = json.loads(params)
    candidates = expanded(arm, sweep.models[arm], sweep.draws)
    ways = [differing(as_told(arm, candidate, dataset), had) for candidate in candidates]
    return "" if "" in ways else ways[0]


def as_told(arm: str, params: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """An arm's hyperparameters as the tidy table tells them, every default included."""
    made = {k: v for k, v in params.items() if isinstance(v, Pretraining)}
    stand_ins = {key: f"{MADE_BY}{key}" for key in made}
    spelled = catalog.spelled_out(catalog.model(model_of(arm), {**params, **stand_ins}))
    return spelled | {key: pretrained(value, dataset) for key, value in made.items()}


def pretrained(made: Pretraining, dataset: str) -> str:
    """Weights that a trial makes, as `records.planned_as` tells them."""
    name = dataset if made.dataset is None else find_dataset(made.dataset).name
    params = {k: pretrained(v, name) if isinstance(v, Pretraining) else v
              for k, v in made.params.items()}  # fmt: skip
    return f"pretrained {made.model} on {name} {json.dumps(params, sort_keys=True)}"


def differing(asked: Mapping[str, Any], had: Mapping[str, Any]) -> str:
    """Which values are others, such as "epochs 1 instead of 10"."""
    found = []
    for key, value in asked.items():
        mine = had.get(key)
        if str(value).startswith(ABSENT) and str(mine).startswith(("sha256:", ABSENT)):
            continue
        if json.loads(json.dumps(value)) != mine:
            found.append(f"{key} {mine} instead of {value}")
    found += [f"{key} {had[key]} instead of its default" for key in had if key not in asked]
    return ", ".join(found)


def obstacles(sweep: Sweep) -> dict[str, str]:
    """Why a data set or an arm of a sweep cannot run here, by its name."""
    found = {}
    for source in sweep.datasets:
        if reason := lacking(source):
            found[find_dataset(source).name] = reason
    for arm, space in sweep.models.items():
        for candidate in expanded(arm, space, sweep.draws):
            if reason := absent_weights(arm, candidate):
                found[arm] = reason
    return found


def lacking(source: Any) -> str:
    """Why a data set cannot be read, or ""."""
    try:
        _ = find_dataset(source).sha256
    except LookupError as error:
        return str(error)
    return ""


def absent_weights(arm: str, params: Mapping[str, Any]) -> str:
    """What an arm must be given before it can start, or ""."""
    told = {}
    for key, value in params.items():
        if isinstance(value, Pretraining):
            first = "" if value.dataset is None else lacking(value.dataset)
            if first := first or absent_weights(value.model, value.params):
                return f"its weights are to be pretrained first: {first}"
            value = f"{MADE_BY}{key}"
        told[key] = value
    built = catalog.model(model_of(arm), told)
    names = reversed(model_of(arm).split("+"))
    for part, name in zip(catalog.parts(built), names, strict=True):
        for key, value in catalog.spelled_out(part).items():
            if "." not in key and str(value).startswith(ABSENT):
                return unfetched(str(value).removeprefix(ABSENT), name)
    return ""


def unfetched(variant: str, model: str) -> str:
    """How to get published weights, in the words of the model itself."""
    from trainables.networks import weights

    try:
        weights.check(variant, model)
    except (NotApplicable, ValueError) as reason:
        return str(reason)
    return f"the weights {variant!r} of {model} are not here"
