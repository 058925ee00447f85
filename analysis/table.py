"""The tidy table, looked over before any statistics are made of it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

REQUIRED = (
    *("trial_id", "status", "reason", "model", "model_params", "task", "dataset", "protocol"),
    *("fraction", "seed", "metric", "value", "n_train", "n_eval"),
)
"""What the statistics read; the table has more columns (code_version, wall_s, ...)."""

CELL = ["task", "dataset", "fraction"]
"""What a comparison is made within."""

MEASUREMENT = [*CELL, "model", "model_params", "seed", "metric"]
"""What tells one measurement from another."""


def check(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, if statistics may be made of it.

    One row per trial and metric. Raises ValueError when a column is missing, a fraction is not in
    (0, 1], one measurement is there twice, or one cell of the design holds unlike things: two
    versions of a data set, of a task or of a model, which no average should mix.
    """
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise ValueError(f"the table lacks {', '.join(missing)}; is it from analysis.results()?")
    outside = table.loc[~((table["fraction"] > 0) & (table["fraction"] <= 1)), "fraction"]
    if len(outside):
        raise ValueError(f"fraction is {outside.iloc[0]}; it must be above 0 and at most 1")
    measured = ok(table)
    refuse_duplicates(measured)
    unlike = ["protocol", "design", "dataset_sha256", "task_version", "task_params"]
    refuse_mixtures(measured, CELL, unlike)
    refuse_mixtures(measured, [*CELL, "model"], ["model_version"])
    return table


def ok(table: pd.DataFrame) -> pd.DataFrame:
    """The measurements: rows of trials that ended well."""
    return table[(table["status"] == "ok") & table["metric"].notna()]


def values_of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows that measured one metric; seeds that leave out one batch are one row.

    See `declared.once_a_batch`. Raises ValueError naming a value that is no finite number.
    """
    from analysis.declared import once_a_batch

    measured = ok(table)
    measured = measured[measured["metric"] == metric]
    return once_a_batch(measured.assign(value=finite(measured)))


def finite(measured: pd.DataFrame) -> pd.Series:
    """The values as numbers. Raises ValueError naming the first that is no finite number."""
    values = pd.to_numeric(measured["value"], errors="coerce").astype(float)
    wrong = measured[~np.isfinite(values)]
    if len(wrong):
        row = wrong.iloc[0]
        value = row["value"] if isinstance(row["value"], str) else float(row["value"])
        raise ValueError(
            f"{row['metric']} of {described(row)} is {value!r}, which is no finite number:"
            f" leave trial {row['trial_id']} out with table.query(...), or run it again"
        )
    return values


def described(row: pd.Series) -> str:
    """A measurement's model, data set, label share and seed, in words."""
    return f"{row['model']} on {row['dataset']} (fraction {row['fraction']:g}, seed {row['seed']})"


def refuse_duplicates(measured: pd.DataFrame) -> None:
    """Raise ValueError naming a measurement that is there twice, and what tells the two apart."""
    twice = measured[measured.duplicated(MEASUREMENT, keep=False)]
    if twice.empty:
        return
    first = twice[(twice[MEASUREMENT] == twice.iloc[0][MEASUREMENT]).all(axis=1)]
    differing = [
        name
        for name in first.columns
        if name not in {*MEASUREMENT, "value"} and first[name].astype(str).nunique() > 1
    ]
    row = first.iloc[0]
    raise ValueError(
        f"{row['model']} on {row['dataset']} (fraction {row['fraction']:g}, seed {row['seed']},"
        f" {row['metric']}) is there {len(first)} times, differing in"
        f" {', '.join(differing) or 'nothing'}: keep one with table.query(...)"
    )


def refuse_mixtures(measured: pd.DataFrame, within: list[str], columns: list[str]) -> None:
    """Raise ValueError when a column that should be constant within a cell is not."""
    for column in columns:
        if column not in measured.columns:
            continue
        kinds = measured.groupby(within)[column].nunique()
        if (kinds > 1).any():
            cell = kinds[kinds > 1].index[0]
            mixed = measured.set_index(within).loc[[cell], column].dropna().unique()
            raise ValueError(
                f"{', '.join(map(str, cell))} mixes {column} {' and '.join(map(str, mixed))}:"
                " keep one with table.query(...)"
            )


def holes(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of the design, model x data set x fraction x seed, that no ok trial fills.

    Returns a row a hole: task, model, dataset, fraction, seed, status, reason. The design is
    every combination that the table's own values make, task by task; a cell that nobody tried
    has the status "missing".
    """
    axes = ["model", "dataset", "fraction", "seed"]
    found = []
    for task, part in table.groupby("task", sort=True):
        filled = set(part.loc[part["status"] == "ok", axes].itertuples(index=False, name=None))
        tried = part.drop_duplicates(axes).set_index(axes)[["status", "reason"]].to_dict("index")
        for cell in product(*(sorted(part[axis].unique()) for axis in axes)):
            if cell not in filled:
                why = tried.get(cell, {"status": "missing", "reason": "no trial in the table"})
                found.append({"task": task, **dict(zip(axes, cell, strict=True)), **why})
    return pd.DataFrame(found, columns=["task", *axes, "status", "reason"])
