"""Where cells lie in each model's embedding, by cell type and by batch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import FAINT, PALETTE, RC

MOST = 4
"""Models side by side; more go below."""
NAMED = {"cell_type": "cell types", "batch": "batches"}


def maps(points: pd.DataFrame) -> Figure:
    """A panel a model, coloured by cell type above and by batch below, as figure 4 of Kedzierska.

    `points` has a row a cell and model: model, x, y, cell_type, batch. One seed a model: a second
    would be another picture of the same. Batches are left out where there is but one. Points are
    pictures inside the figure, text and lines are shapes.
    """
    models = list(dict.fromkeys(points["model"]))
    keys = [key for key in NAMED if points[key].nunique() > 1]
    bands = -(-len(models) // MOST)
    columns = -(-len(models) // bands)
    with rc_context(RC):
        size = 2.1 * max(columns, 3), (2.2 * bands + 0.55) * len(keys)
        figure = Figure(figsize=size, layout="constrained", dpi=150)
        grid = figure.subfigures(len(keys), 1, squeeze=False)[:, 0]
        for part, key in zip(grid, keys, strict=True):
            colour = colours_of(points[key])
            axes = part.subplots(bands, columns, squeeze=False).ravel()
            for axis, model in zip(axes, models, strict=False):
                scatter(axis, points[points["model"] == model], key, colour)
                axis.set_title(model)
            for unused in axes[len(models) :]:
                unused.set_visible(False)
            part.legend(
                handles=[
                    Line2D([], [], marker="o", linestyle="", markersize=5, color=c, label=name)
                    for name, c in shown(colour).items()
                ],
                loc="outside lower center",
                ncols=4 if max(map(len, map(str, colour))) > 14 else 6,
                title=NAMED[key],
                fontsize=8,
            )
    return figure


def colours_of(groups: pd.Series) -> dict[str, str]:
    """A colour a group, the largest first: eight, the same eight paler, and grey for the rest.

    >>> colours_of(pd.Series(["a", "b", "b"]))["b"] == PALETTE[0]
    True
    """
    pale = ["#{:02x}{:02x}{:02x}".format(*paler(colour)) for colour in PALETTE]
    ranked = groups.value_counts().sort_index().sort_values(ascending=False, kind="stable").index
    every = [*PALETTE, *pale]
    return {str(g): every[i] if i < len(every) else FAINT for i, g in enumerate(ranked)}


def paler(colour: str) -> tuple[int, ...]:
    """Half of the way to white, as bytes."""
    return tuple(round(255 * (1 + part) / 2) for part in to_rgb(colour))


def shown(colour: dict[str, str]) -> dict[str, str]:
    """What the legend names: groups of a colour of their own, and how many share the grey."""
    own = {name: c for name, c in colour.items() if c != FAINT}
    rest = len(colour) - len(own)
    return own | ({f"{rest} smaller ones": FAINT} if rest else {})


def scatter(axis: Axes, cells: pd.DataFrame, key: str, colour: dict[str, str]) -> None:
    """One model's cells, in an order that lets no group lie on top of all others."""
    mixed = cells.iloc[np.random.default_rng(0).permutation(len(cells))]
    axis.scatter(
        mixed["x"],
        mixed["y"],
        c=[colour[str(group)] for group in mixed[key]],
        s=float(np.clip(6000 / max(len(cells), 1), 0.3, 7)),
        linewidths=0,
        alpha=0.8,
        rasterized=True,
    )
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_box_aspect(1)
    axis.spines[:].set(visible=True, color=FAINT, linewidth=0.4)
