"""Hyperparameters chosen on validation cells, so that test cells report and never choose."""

from __future__ import annotations

import pandas as pd

from analysis.declared import less_is_better
from analysis.table import CELL, values_of


def twin(metric: str) -> str:
    """The validation metric that chooses for a test metric.

    >>> twin("test/macro_f1"), twin("avg_bio")
    ('valid/macro_f1', 'valid/avg_bio')
    """
    return "valid/" + metric.removeprefix("test/")


def choose_on_validation(table: pd.DataFrame, metric: str = "valid/macro_f1") -> pd.DataFrame:
    """The rows of one `model_params` per task, data set, model and fraction, the best on `metric`.

    Best is the highest mean over seeds, or the lowest of an error: one choice for all seeds, not
    one a seed. Only candidates with the most seeds compete, so that a trial lost to memory is no
    advantage; among equals the first `model_params` in alphabetical order is taken. Where there is
    one candidate, or none that ended well, nothing is chosen and `metric` is not needed. Adds the
    column `n_candidates`.

    Raises ValueError when there is something to choose and no `metric` to choose by.
    """
    kept = []
    for (task, dataset, fraction, model), rows in table.groupby([*CELL, "model"]):
        n_candidates = rows["model_params"].nunique()
        if n_candidates > 1 and (rows["status"] == "ok").any():
            scores = validation_scores(rows, metric)
            if scores.empty:
                raise ValueError(
                    f"{model} has {n_candidates} candidates for {task} on {dataset} at fraction"
                    f" {fraction:g} and no {metric!r} to choose by: name another metric, or keep"
                    " one candidate with table.query(...)"
                )
            rows = rows[rows["model_params"] == scores.index[0]]
        kept.append(rows.assign(n_candidates=n_candidates))
    return pd.concat(kept).sort_index() if kept else table.assign(n_candidates=0)


def validation_scores(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Candidates with the most seeds, best first: mean and n_seeds, indexed by model_params."""
    scores = (
        values_of(rows, metric)
        .groupby("model_params")["value"]
        .agg(mean="mean", n_seeds="size")
        .round(12)  # the order of rows moves the last digits of a mean, and must not choose
        .reset_index()
    )
    full = scores[scores["n_seeds"] == scores["n_seeds"].max()]
    lowest = less_is_better(rows, metric)
    ranked = full.sort_values(["mean", "model_params"], ascending=[lowest, True])
    return ranked.set_index("model_params")


def chosen(table: pd.DataFrame, metric: str = "valid/macro_f1") -> pd.DataFrame:
    """What was chosen, and among how many.

    Returns a row per task, model, data set and fraction: model_params, n_candidates, n_seeds and
    valid_mean (NaN where `metric` was not measured). Raises as `choose_on_validation` does.
    """
    keys = ["task", "model", "dataset", "fraction"]
    kept = choose_on_validation(table, metric)
    kept = kept[kept["status"] == "ok"]
    summary = kept.groupby([*keys, "model_params", "n_candidates"], as_index=False).agg(
        n_seeds=("seed", "nunique")
    )
    means = values_of(kept, metric).groupby(keys, as_index=False).agg(valid_mean=("value", "mean"))
    return summary.merge(means, on=keys, how="left")


def candidates_as_models(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Models that cannot be chosen within, because nothing measured `metric`, one arm a candidate.

    A zero-shot task holds no cells out to choose on, so every candidate is shown under its own
    name, "scgpt {...}", rather than the best one picked by what is reported.
    """
    cells = table.groupby([*CELL, "model"])
    several = cells["model_params"].transform("nunique") > 1
    measured = table["metric"].eq(metric) & table["value"].notna()
    lost = several & ~measured.groupby([table[key] for key in [*CELL, "model"]]).transform("any")
    arms = table["model"] + " " + table["model_params"]
    return table.assign(model=table["model"].where(~lost, arms))
