"""How far apart are two models, and is zero among the possibilities?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import FAINT, INK, RC, panels, pretty

MINUS = "\N{MINUS SIGN}"
COLOURS = {"better": "#0072B2", "worse": "#D55E00", "equivalent": "#009E73"}
"""Colours of decided rows; identical models differ by nothing, and are written out."""


def differences(rows: pd.DataFrame) -> Figure:
    """Forest plots of what `compare` or `compare_all` returned: a panel a pair, a line a row.

    A dot is the difference a - b, a line its interval, a shaded band the margin within which
    models count as equivalent. Filled dots are decided, hollow ones are not.
    """
    pairs = list(rows.groupby(["a", "b", "metric"], sort=False))
    with rc_context(RC):
        most = max((len(part) for _, part in pairs), default=0)
        # a scale each: the distance to a floor must not hide the distance between rivals
        figure, axes = panels(len(pairs), 6.4 if len(pairs) == 1 else 4.2, 1.1 + 0.3 * most)
        for axis, ((a, b, metric), part) in zip(axes, pairs, strict=True):
            forest(axis, part)
            axis.set_title(f"{a} {MINUS} {b}")
            axis.set_xlabel(f"difference in {pretty(str(metric))}")
    return figure


def forest(axis: Axes, rows: pd.DataFrame) -> None:
    """One pair's rows, the first on top."""
    axis.axvline(0, color=INK, linewidth=0.9)
    for height, (_, row) in zip(range(len(rows))[::-1], rows.iterrows(), strict=True):
        colour = COLOURS.get(row["verdict"], FAINT)
        if row["margin"] > 0:
            band = [-row["margin"], row["margin"]]
            axis.fill_betweenx([height - 0.5, height + 0.5], *band, color=FAINT, alpha=0.15, lw=0)
        if np.isnan(row["p"]):
            word = "identical" if row["verdict"] == "identical" else "not tested"
            axis.annotate(
                word, (0, height), (6, 0), textcoords="offset points",
                va="center", color=FAINT, style="italic",
            )  # fmt: skip
            continue
        if np.isfinite(row["ci_low"]):
            axis.plot([row["ci_low"], row["ci_high"]], [height] * 2, color=colour, lw=1.8)
        fill = "none" if row["verdict"] == "undecided" else colour
        axis.plot(row["difference"], height, "o", color=colour, mfc=fill, ms=6)
    axis.set_yticks(range(len(rows))[::-1], labels(rows))
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(axis="x", alpha=0.25, linewidth=0.6)


def labels(rows: pd.DataFrame) -> list[str]:
    """What tells a pair's rows apart: task, data set and label share, as far as they differ."""
    several = [key for key in ("task", "dataset") if rows[key].nunique() > 1]
    shares = rows["fraction"].nunique() > 1
    names = []
    for _, row in rows.iterrows():
        parts = [str(row[key]) for key in several]
        parts += [f"{row['fraction']:.0%} of labels"] if shares else []
        names.append(", ".join(parts) or str(row["dataset"]))
    return names
