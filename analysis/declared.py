"""What tasks declare of their trials, as the tidy table has it: never read from names or prose."""

from __future__ import annotations

import json

import pandas as pd

from analysis.table import MEASUREMENT, ok

COLUMNS = ("design", "selected_on_test", "batch", "better")


def with_declarations(table: pd.DataFrame) -> pd.DataFrame:
    """The table itself; one that was exported by an older version gets the columns it lacks."""
    if set(COLUMNS) <= set(table.columns):
        return table
    from analysis.results import declared_since

    return declared_since(table)


def better(table: pd.DataFrame, metric: str) -> str | None:
    """Which scores of a metric are better, "higher" or "lower"; None where no task declares it.

    Raises ValueError where tasks of the table declare it differently.
    """
    measured = with_declarations(ok(table))
    rows = measured.loc[measured["metric"] == metric, ["task", "better"]].drop_duplicates()
    texts = [text for text in rows["better"] if isinstance(text, str)]
    found = {way for text in texts if (way := json.loads(text).get(metric))}
    if len(found) > 1:
        tasks = ", ".join(sorted(rows["task"].unique()))
        raise ValueError(
            f"higher scores of {metric!r} are better in one task and lower ones in another"
            f" ({tasks}): look at one task at a time with table.query(...)"
        )
    return found.pop() if found else None


def less_is_better(table: pd.DataFrame, metric: str) -> bool:
    """Whether lower scores of a metric are better.

    A table without any score of it has nothing to put in order: False. Raises ValueError where the
    task does not declare it.
    """
    measured = ok(table)
    rows = measured[measured["metric"] == metric]
    way = better(rows, metric)
    if way is None and len(rows):
        task = rows["task"].iloc[0]
        raise ValueError(
            f"the task {task!r} does not say whether higher or lower scores of {metric!r} are"
            f' better: add {metric!r}: "higher" or "lower" to its `metrics`'
        )
    return way == "lower"


def once_a_batch(measured: pd.DataFrame) -> pd.DataFrame:
    """Measurements with the seeds that leave out one batch averaged into one, under the first seed.

    Such seeds have one test set, and are no replicates of each other. `own_value` is what the
    trial of that row measured itself. A table of an older version does not name batches: there
    trials with test sets of one size count as of one batch, so that none counts twice.
    """
    told = with_declarations(measured)
    left_out = told["design"] == "batches"
    if not left_out.any():
        return measured
    measured = told
    batches, others = measured[left_out], measured[~left_out]
    unit = batches["batch"].where(batches["batch"].notna(), batches["n_eval"].astype(str))
    place = [batches["task"], batches["dataset"], batches["fraction"], unit.rename("unit")]
    batches = batches.assign(
        seed=batches.groupby(place, dropna=False)["seed"].transform("min"),
        own_value=batches["value"],
    )
    groups = batches.groupby(MEASUREMENT, dropna=False)
    averaged = batches.assign(value=groups["value"].transform("mean"))
    return pd.concat([others, averaged[~averaged.duplicated(MEASUREMENT)]]).sort_index()
