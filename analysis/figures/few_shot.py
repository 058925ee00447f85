"""How good is each model with so many labelled cells?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from analysis.figures.style import FAINT, RC, colours, panels, pretty
from analysis.table import values_of


def few_shot(table: pd.DataFrame, metric: str = "test/macro_f1", level: float = 0.95) -> Figure:
    """`metric` against the number of labelled cells, a panel a data set.

    `table` has one candidate a model (see `choose_on_validation`). A line is the mean over seeds,
    a dot a seed, a band the t interval of the mean: what one arm did, and no comparison of two.
    """
    scores = values_of(table, metric)
    colour = colours(table["model"])
    datasets = sorted(scores["dataset"].unique())
    with rc_context(RC):
        width = 6.4 if len(datasets) == 1 else 4.2
        figure, axes = panels(len(datasets), width, 3.4)
        for axis, dataset in zip(axes, datasets, strict=True):
            here = scores[scores["dataset"] == dataset]
            far = far_below(here)
            for model, rows in here[here["model"] != far].groupby("model"):
                curve(axis, rows, str(model), colour[str(model)], level)
            if far is not None:
                values = here.loc[here["model"] == far, "value"]
                note = f"{far}, not drawn: {values.min():.2f} to {values.max():.2f}"
                axis.text(0.99, 0.03, note, transform=axis.transAxes, ha="right", color=FAINT)
            label_shares(axis, here)
            axis.set_title(dataset)
            axis.set_ylabel(pretty(metric))
            axis.grid(axis="y", alpha=0.25, linewidth=0.6)
        if datasets:
            handles, names = axes[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside upper left", ncols=4)
    return figure


def far_below(scores: pd.DataFrame) -> str | None:
    """A floor so low that drawing it would press all others flat: it is told in words instead."""
    ranges = scores.groupby("model")["value"].agg(["min", "max"]).sort_values("max")
    if len(ranges) < 3:
        return None
    others = ranges.iloc[1:]
    spread = others["max"].max() - others["min"].min()
    gap = others["min"].min() - ranges["max"].iloc[0]
    return str(ranges.index[0]) if gap > 1.5 * spread else None


def curve(axis: Axes, rows: pd.DataFrame, model: str, colour: str, level: float) -> None:
    """One model's line, band and dots."""
    over_seeds = rows.groupby("fraction").agg(
        cells=("n_train", "mean"), mean=("value", "mean"), sd=("value", "std"), n=("value", "size")
    )
    reach = stats.t.ppf((1 + level) / 2, over_seeds["n"] - 1) * over_seeds["sd"]
    reach = np.nan_to_num(reach / np.sqrt(over_seeds["n"]))  # one seed has a point and no band
    low, high = over_seeds["mean"] - reach, over_seeds["mean"] + reach
    axis.fill_between(over_seeds["cells"], low, high, color=colour, alpha=0.15, linewidth=0)
    axis.plot(
        over_seeds["cells"], over_seeds["mean"], "o-", color=colour, label=model, ms=4, lw=1.6
    )
    axis.scatter(rows["n_train"], rows["value"], s=7, color=colour, alpha=0.35, linewidths=0)


def label_shares(axis: Axes, rows: pd.DataFrame) -> None:
    """Ticks at the label shares that were run, in cells and in percent."""
    cells = rows.groupby("fraction")["n_train"].mean()
    axis.set_xscale("log")  # the step from 10% to 25% matters as much as that from 50% to all
    axis.minorticks_off()
    axis.set_xticks(cells.to_numpy())
    axis.set_xticklabels([f"{n:,.0f}\n{share:.0%}" for share, n in cells.items()])  # pyright: ignore
    axis.set_xlabel("labelled cells (share)")
