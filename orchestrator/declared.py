"""What a trial's task declares for the statistics, from its record or from the task itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.records import Record
from trainables import catalog

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("design", "selected_on_test", "batch", "better")
"""Columns of the tidy table: the fields of `protocols.Drawn`, and which scores are better."""


def declared(record: Record) -> dict[str, Any]:
    """`COLUMNS` of one record; None and "{}" where the task does not declare it."""
    task, metrics = record["trial"]["task"], list(record["metrics"])
    drawn = record["drawn"] if "drawn" in record else drawn_before(task, record["protocol"])
    both = better(task, metrics) | record.get("better", {})
    return {key: drawn.get(key) for key in COLUMNS[:3]} | {"better": json.dumps(both)}


def better(task: str, metrics: Iterable[str]) -> dict[str, str]:
    """Which scores of each metric are better, "higher" or "lower", as far as the task declares it.

    A task that is not installed here declares nothing.
    """
    try:
        declarations = getattr(catalog.find("tasks", task), "metrics", {})
    except LookupError:
        return {}
    return {name: declarations[name] for name in metrics if name in declarations}


BEFORE = {
    "random": "random",
    "leave one batch out": "batches",
    "fixed": "fixed",
    "as ": "fixed",
    "5 % held out": "fixed",
}


def drawn_before(task: str, protocol: Any) -> dict[str, Any]:
    """The design of a trial whose record was written before tasks declared it.

    Such a record has it in a sentence alone, and is never written again. Only the tasks that were
    there then are read so; which batch was left out no sentence says.
    """
    if task not in catalog.own("tasks") or not isinstance(protocol, str) or not protocol:
        return {}
    design = next((BEFORE[start] for start in BEFORE if protocol.startswith(start)), "whole")
    return {"design": design, "selected_on_test": protocol.endswith("chosen on the test set")}


def filled(table: pd.DataFrame) -> pd.DataFrame:
    """A tidy table that an older version exported, with the columns of `COLUMNS` that it lacks.

    A metric's direction is then what any task of this package declares, of test or valid cells:
    they do not contradict each other.
    """
    nothing = [""] * len(table)
    said = table.get("task", nothing), table.get("protocol", nothing)
    drawn = [drawn_before(*pair) for pair in zip(*said, strict=True)]
    known: dict[str, str] = {}
    for task in catalog.own("tasks"):
        scores = catalog.find("tasks", task).metrics
        known |= {re.sub("^(test|valid)/", "", name): way for name, way in scores.items()}
    bare = [re.sub("^(test|valid)/", "", str(name)) for name in table["metric"]]
    named = zip(table["metric"], bare, strict=True)
    ways = [json.dumps({m: known[name]} if name in known else {}) for m, name in named]
    columns: dict[str, Any] = {key: [one.get(key) for one in drawn] for key in COLUMNS[:3]} | {
        "better": ways
    }
    return table.assign(**{key: of for key, of in columns.items() if key not in table.columns})
