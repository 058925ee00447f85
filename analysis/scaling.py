"""Scores between a floor and a ceiling: what a number means where nobody could have scored one."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.declared import better
from analysis.table import CELL, ok

RESCALED = "rescaled/"


def rescaled(table: pd.DataFrame, controls: Mapping[str, str]) -> pd.DataFrame:
    """The scores of all models, 0 at the floor and 1 at the ceiling, as metrics `rescaled/...`.

    `controls` maps a model's name to "floor" or "ceiling", as the sweep's manifest does. Task by
    task, data set by data set and fraction by fraction, the floor is the lowest mean over seeds of
    any floor, the ceiling the highest of any ceiling. Rows are left out where either is missing,
    or the ceiling is not above the floor. Metrics of which less is better have no such scale, and
    are left out too.
    """
    measured = ok(table)
    risen = [m for m in measured["metric"].unique() if better(measured, m) == "higher"]
    measured = measured[measured["metric"].isin(risen)]
    keys = [*CELL, "metric"]
    means = measured.groupby([*keys, "model"])["value"].mean().reset_index("model")
    floor = means.loc[means["model"].isin(named(controls, "floor")), "value"].groupby(keys).min()
    top = means.loc[means["model"].isin(named(controls, "ceiling")), "value"].groupby(keys).max()
    bounds = pd.DataFrame({"floor": floor, "ceiling": top}).query("ceiling > floor").reset_index()
    scaled = measured.merge(bounds, on=keys)
    scaled["value"] = (scaled["value"] - scaled["floor"]) / (scaled["ceiling"] - scaled["floor"])
    scaled["metric"] = RESCALED + scaled["metric"].astype(str)
    return scaled.drop(columns=["floor", "ceiling"])


def named(controls: Mapping[str, str], kind: str) -> list[str]:
    """The controls of one kind.

    >>> named({"mean": "floor", "perfect_labels": "ceiling"}, "floor")
    ['mean']
    """
    return [name for name, what in controls.items() if what == kind]
