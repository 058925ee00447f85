"""The figures of a report: each with a name and with what it shows in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from analysis.figures.style import RC, pretty
from analysis.table import values_of


@dataclass(frozen=True)
class Drawing:
    """A figure, the name of its files, and its caption."""

    name: str
    figure: Figure
    caption: str


def write(drawn: Sequence[Drawing], folder: Path) -> list[Path]:
    """Every figure as .svg, whose text is text, and as .png on white, at 200 dots an inch."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    settings = {**RC, "svg.hashsalt": "gauntlet", "savefig.transparent": False}
    kinds = {"svg": {"Date": None}, "png": None}
    for one in drawn:
        stem = re.sub(r"[^\w+@-]+", ".", one.name)
        for kind, metadata in kinds.items():
            paths.append(folder / f"{stem}.{kind}")
            with rc_context(settings):
                one.figure.savefig(paths[-1], dpi=200, metadata=metadata)
    return paths


def found(best: pd.DataFrame, rows: pd.DataFrame, metric: str) -> list[Drawing]:
    """The figures there is something to draw for, each with what it shows in words."""
    from analysis.figures.differences import differences
    from analysis.figures.few_shot import few_shot
    from analysis.figures.scores import scores

    drawn = []
    measured = values_of(best, metric)
    name = pretty(metric)
    for task, part in best[best["task"].isin(measured["task"])].groupby("task"):
        task = str(task)
        if part["fraction"].nunique() > 1:
            caption = f"{task.capitalize()}: {name} on test cells, by labels given."
            caption += (
                " Lines are means over seeds, dots are seeds, bands 95% t intervals of the mean."
            )
            drawn.append(Drawing(f"{task}-by-labels", few_shot(part, metric), caption))
        else:
            caption = (
                f"{task.capitalize()}: {name} of each model. A dot is a seed, a bar their mean."
            )
            drawn.append(Drawing(f"{task}-scores", scores(part, metric), caption))
    if rows["p"].notna().any():
        caption = "Differences with their 95% intervals, one comparison a line. Filled dots are"
        caption += " decided, hollow ones are not; the shaded band is the margin of equivalence."
        drawn.append(Drawing("differences", differences(rows), caption))
    return drawn


def lessons(
    best: pd.DataFrame, epochs: Mapping[str, list[dict[str, Any]]], metric: str
) -> list[Drawing]:
    """Learning curves, a figure a data set, at the largest label share; one epoch is no curve."""
    from analysis.figures.learning import learning
    from analysis.sensitivity import learning_curves

    drawn = []
    curves = learning_curves(best, epochs, metric)
    curves = curves[curves.groupby("trial_id")["epoch"].transform("nunique") > 1]
    for dataset, part in curves.groupby("dataset"):
        most = part[part["fraction"] == part["fraction"].max()]
        caption = f"Learning curves on {dataset}: {pretty(metric)} after each epoch, a thin line a"
        caption += " seed and a thick one their mean."
        drawn.append(Drawing(f"learning-{dataset}", learning(most, metric), caption))
    return drawn


def pictures(points: pd.DataFrame | None, controls: Mapping[str, str]) -> list[Drawing]:
    """Maps of cells, a figure a data set; controls are not drawn."""
    from analysis.figures.maps import maps

    drawn = []
    if points is None or points.empty:
        return drawn
    for dataset, part in points[~points["model"].isin(list(controls))].groupby("dataset"):
        first = part[part["task"] == part["task"].min()]
        caption = f"UMAP of each model's embedding of {dataset}, coloured by what no model was"
        caption += " told (cell types) and by batch. One seed a model. Distances between groups"
        caption += " mean little; the scores are measured in the embeddings themselves."
        drawn.append(Drawing(f"maps-{dataset}", maps(first), caption))
    return drawn


def standings(best: pd.DataFrame, metric: str, controls: Mapping[str, str]) -> list[Drawing]:
    """The critical-difference diagram of three arms or more on two data sets or more.

    Blocks are data sets: label shares of one are no new ones. Controls compete with nobody.
    """
    from analysis.figures.ranks import ranks
    from analysis.ranking import ranking

    arms = best[~best["model"].isin(list(controls))]
    try:
        ranked = ranking(arms, metric)
    except ValueError:
        return []  # too few arms or data sets that all of them did
    share = arms["fraction"].max()
    at = "" if share == 1 else f" at {share:.0%} of the labels"
    caption = (
        f"Mean ranks over {len(ranked.datasets)} data sets{at}, 1 the best, by {pretty(metric)}."
        f" Bars join arms that lie within Nemenyi's critical difference; against all being alike"
        f" Friedman's test gives p = {ranked.p:.2g}."
    )
    caption += f" {ranked.note[0].upper()}{ranked.note[1:]}." if ranked.note else ""
    return [Drawing("ranks", ranks(ranked), caption)]
