"""How good is each model, where there is one label share or no labels at all?"""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from analysis.figures.style import RC, colours, panels, pretty
from analysis.table import values_of


def scores(table: pd.DataFrame, metric: str = "avg_bio") -> Figure:
    """`metric` by model, a panel a data set, the best mean on top.

    `table` has one candidate a model and one fraction. A dot is a seed, a bar the mean of them.
    """
    measured = values_of(table, metric)
    colour = colours(table["model"])
    datasets = sorted(measured["dataset"].unique())
    with rc_context(RC):
        height = 1.1 + 0.32 * measured["model"].nunique()
        figure, axes = panels(len(datasets), 6.4 if len(datasets) == 1 else 4.2, height)
        for axis, dataset in zip(axes, datasets, strict=True):
            here = measured[measured["dataset"] == dataset]
            means = here.groupby("model")["value"].mean().sort_values()
            for height, (model, mean) in enumerate(means.items()):
                seeds = here.loc[here["model"] == model, "value"]
                kind = {"color": colour[str(model)], "linewidths": 0}
                axis.scatter(seeds, [height] * len(seeds), s=26, alpha=0.45, **kind)
                axis.plot([mean, mean], [height - 0.28, height + 0.28], color=kind["color"], lw=2.2)
            axis.set_yticks(range(len(means)), [str(model) for model in means.index])
            axis.set_ylim(-0.6, len(means) - 0.4)
            axis.tick_params(axis="y", length=0)
            axis.spines["left"].set_visible(False)
            axis.grid(axis="x", alpha=0.25, linewidth=0.6)
            axis.set_title(dataset)
            axis.set_xlabel(pretty(metric))
    return figure
