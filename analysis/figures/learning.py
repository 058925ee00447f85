"""How does each seed learn, epoch by epoch?"""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from analysis.figures.style import RC, colours, panels, pretty


def learning(curves: pd.DataFrame, metric: str) -> Figure:
    """A panel a model, a thin line a seed, a thick one their mean.

    `curves` is what `sensitivity.learning_curves` returns, of one task and data set. Figure 5 of
    Boiarsky et al. 2023.
    """
    colour = colours(curves["model"])
    models = sorted(curves["model"].unique())
    with rc_context(RC):
        figure, axes = panels(len(models), 6.4 if len(models) == 1 else 3.4, 2.8)
        for axis, model in zip(axes, models, strict=True):
            here = curves[curves["model"] == model]
            for _, seed in here.sort_values("epoch").groupby("trial_id"):
                axis.plot(seed["epoch"], seed["value"], color=colour[model], lw=0.8, alpha=0.45)
            mean = here.groupby("epoch")["value"].mean()
            axis.plot(mean.index, mean, color=colour[model], lw=2.2)
            axis.set_ylim(curves["value"].min() - 0.02, curves["value"].max() + 0.02)
            axis.grid(axis="y", alpha=0.25, linewidth=0.6)
            axis.set_title(model)
            axis.set_xlabel("epoch")
        axes[0].set_ylabel(pretty(metric))
    return figure
