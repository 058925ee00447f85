"""One look for all figures: a colour a model, thin lines, no box."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
"""Okabe and Ito's colours without yellow and black, which vanish on white or on dark."""

WIDEST = 8.6
"""Inches: a wider figure is shrunk to the page, and its words with it."""

INK = "#1b1e23"
FAINT = "#8a8f98"

RC: dict[Any, Any] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "font.family": "sans-serif",
    "font.size": 9,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


def colours(models: Iterable[str]) -> dict[str, str]:
    """A colour for every model; give it all models of a table, and figures of it agree.

    >>> colours(["pca", "logreg"])["logreg"]
    '#0072B2'
    """
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(set(models)))}


def panels(n: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    """A figure of `n` panels, sizes in inches each; as many in a row as keep letters legible."""
    columns = max(1, min(n, int(WIDEST / width)))
    n_rows = -(-max(n, 1) // columns)
    figure = Figure(figsize=(width * columns, height * n_rows), layout="constrained")
    axes = figure.subplots(n_rows, columns, squeeze=False).ravel()
    for unused in axes[n:]:
        unused.set_visible(False)
    return figure, list(axes[:n])


PRETTY = {
    "macro_f1": "macro F1",
    "avg_bio": "AvgBIO",
    "asw_label": "ASW (labels)",
    "asw_batch": "ASW (batches)",
    "asw_label_batch": "batch ASW within types",
    "ilisi": "iLISI",
    "clisi": "cLISI",
    "pcr_comparison": "PCR comparison",
}


def pretty(metric: str) -> str:
    """A metric as people write it.

    >>> pretty("test/macro_f1"), pretty("avg_bio"), pretty("valid/accuracy")
    ('macro F1', 'AvgBIO', 'validation accuracy')
    """
    part, _, name = metric.rpartition("/")
    if name.endswith("_blind"):
        return f"{pretty(metric.removesuffix('_blind'))}, blind"
    words = PRETTY.get(name, name.upper() if len(name) <= 3 else name.replace("_", " "))
    prefix = {"test": "", "valid": "validation "}.get(part, part + " " if part else "")
    return prefix + words


def svg(figure: Figure) -> str:
    """The figure as an element to put into a page, whose text colour its ink takes.

    No outside reference, no date: the same table gives the same bytes.
    """
    drawn = io.StringIO()
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    with rc_context({**RC, "svg.hashsalt": "gauntlet"}):
        figure.savefig(drawn, format="svg", metadata=nothing)
    text = drawn.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)  # viewBox is enough
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    return text.replace(INK, "currentColor").strip()
