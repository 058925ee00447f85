"""What cells are like before anything is computed on them: depth, classes, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.figures.style import PALETTE, RC, panels

MOST = 30
"""Classes or batches drawn by name; what is smaller goes into one last bar."""


def depth(card: Mapping[str, Any]) -> Figure:
    """Histograms of library size and of detected genes, on logarithmic axes."""
    total = "counts a cell" if card["values"]["kind"] == "counts" else "sum of values a cell"
    with rc_context(RC):
        figure, axes = panels(2, 3.6, 2.1)
        shown = {total: card["library_size"], "genes found a cell": card["genes_per_cell"]}
        for axis, (name, spread), colour in zip(axes, shown.items(), PALETTE, strict=False):
            edges = 10.0 ** np.array(spread["histogram"]["log10_edges"])
            axis.stairs(spread["histogram"]["cells"], edges, fill=True, color=colour, alpha=0.75)
            axis.axvline(spread["median"], color=colour, linewidth=1.2)
            logarithmic(axis, (1, 3))
            axis.set_xlabel(name)
            axis.set_ylabel("cells")
    return figure


def classes(sizes: Mapping[str, int]) -> Figure:
    """Cells of each class, the largest on top, on a logarithmic axis."""
    shown = gathered(sizes)
    with rc_context(RC):
        figure, (axis,) = panels(1, 6.4, 0.7 + 0.23 * len(shown))
        names, counts = list(shown)[::-1], list(shown.values())[::-1]
        axis.barh(names, counts, color=PALETTE[0], alpha=0.75, height=0.7)
        for place, n in enumerate(counts):
            axis.text(n * 1.06, place, f"{n:,}", va="center", fontsize=8)
        logarithmic(axis, (1,))
        axis.set_xlim(0.8, max(counts) * 3)
        axis.set_xlabel("cells")
        axis.tick_params(axis="y", length=0)
    return figure


def mixture(table: Mapping[str, Mapping[str, int]]) -> Figure:
    """Which share of each class lies in which batch: a row a class, rows add up to one."""
    labels = list(table)[:MOST]
    totals: dict[str, int] = {}
    for row in table.values():
        for batch, n in row.items():
            totals[batch] = totals.get(batch, 0) + n
    batches = sorted(totals, key=lambda batch: -totals[batch])[:MOST]
    counts = np.array([[table[label].get(batch, 0) for batch in batches] for label in labels])
    shares = counts / np.array([[max(sum(table[label].values()), 1)] for label in labels])
    with rc_context(RC):
        width, height = 2.6 + 0.32 * len(batches), 1.4 + 0.23 * len(labels)
        figure, (axis,) = panels(1, max(width, 4.2), height)
        # of 50 colours on, the legend would be an embedded picture instead of shapes
        steps = colormaps["Blues"].resampled(20)
        mesh = axis.pcolormesh(shares, cmap=steps, vmin=0, vmax=1, edgecolor="none")
        axis.set_yticks(np.arange(len(labels)) + 0.5, labels)
        axis.set_xticks(np.arange(len(batches)) + 0.5, batches, rotation=90)
        axis.invert_yaxis()
        axis.tick_params(length=0)
        figure.colorbar(mesh, ax=axis, shrink=0.7, label="share of the class")
    return figure


def logarithmic(axis: Axes, steps: Sequence[float]) -> None:
    """A logarithmic x axis with plain numbers at these steps of each decade."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=list(steps)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def gathered(sizes: Mapping[str, int]) -> dict[str, int]:
    """The largest classes, and all others as one.

    >>> gathered({"a": 3})
    {'a': 3}
    """
    ranked = sorted(sizes.items(), key=lambda item: -item[1])
    shown = dict(ranked[:MOST])
    if rest := ranked[MOST:]:
        shown[f"{len(rest)} smaller classes"] = sum(n for _, n in rest)
    return shown
