"""Which models rank higher over data sets, and which cannot be told apart?"""

from __future__ import annotations

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import FAINT, INK, RC, colours
from analysis.ranking import Ranking


def ranks(found: Ranking) -> Figure:
    """Demsar's critical-difference diagram: mean ranks on a line, the best on the left.

    Bars join models that lie within the critical difference, which the short rule on top shows.
    """
    names = list(found.ranks.index)
    left, right = names[: (len(names) + 1) // 2], names[(len(names) + 1) // 2 :][::-1]
    groups = found.groups()
    depth = 0.5 + 0.28 * len(groups)
    with rc_context(RC):
        height = 1.0 + 0.28 * (len(left) + len(groups))
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axis = figure.subplots()
        axis.hlines(0, 1, len(names), color=INK, linewidth=1)
        for rank in range(1, len(names) + 1):
            axis.vlines(rank, 0, 0.15, color=INK, linewidth=1)
            axis.text(rank, 0.25, str(rank), ha="center", va="bottom")
        for place, model in enumerate(left):
            name(axis, found, model, 0.6, depth + 0.55 * place, "right")
        for place, model in enumerate(right):
            name(axis, found, model, len(names) + 0.4, depth + 0.55 * place, "left")
        for place, group in enumerate(groups):
            ends = found.ranks[group[0]] - 0.05, found.ranks[group[-1]] + 0.05
            axis.hlines(-0.3 - 0.28 * place, *ends, color=INK, linewidth=2.5)
        axis.hlines(1.2, 1, 1 + found.critical_difference, color=FAINT, linewidth=1.5)
        axis.text(1, 1.3, f"critical difference {found.critical_difference:.2f}", color=FAINT)
        axis.set_ylim(-depth - 0.55 * len(left), 1.9)
        axis.set_xlim(-0.6, len(names) + 1.6)
        axis.axis("off")
    return figure


def name(axis: Axes, found: Ranking, model: str, edge: float, below: float, align: str) -> None:
    """A line from a model's mean rank down and out to its name."""
    rank = found.ranks[model]
    colour = colours(found.ranks.index)[model]
    axis.plot([rank, rank, edge], [0, -below, -below], color=colour, linewidth=1.2)
    shown = f"{model}  {rank:.2f} " if align == "right" else f" {rank:.2f}  {model}"
    axis.text(edge, -below, shown, ha=align, va="center")
