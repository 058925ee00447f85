"""One page that says what is in a data set, and what to worry about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.figures.style import svg


def data_card(
    card: Mapping[str, Any],
    out: str | Path,
    *,
    mismatches: Sequence[str] = (),
    declared: Mapping[str, str] | None = None,
) -> Path:
    """Write one self-contained HTML page about a data set; returns its path.

    `card` is what was found, by name (see `facts` for the names). `mismatches` are sentences on
    what differs from the literature; `declared` is what the catalog says of the data set.
    """
    from jinja2 import Environment, PackageLoader

    page = Environment(loader=PackageLoader("analysis", "."), autoescape=True, trim_blocks=True)
    Path(out).write_text(
        page.get_template("data_card.html.j2").render(
            card=card,
            facts=facts(card),
            mismatches=list(mismatches),
            declared=declared or {},
            drawings=drawings(card),
        ),
        encoding="utf-8",
    )
    return Path(out)


def facts(card: Mapping[str, Any]) -> dict[str, str]:
    """What was found, in the order and words of a reader; also what a terminal prints."""
    counted = card["values"]["kind"] == "counts"
    names, exact, near = card["gene_names"], card["exact_duplicates"], card["near_duplicates"]
    told = {
        "cells": f"{card['cells']:,}",
        "genes": f"{card['genes']:,} ({names['kind']}, such as {', '.join(names['examples'][:3])})",
        "values": card["decision"],
        "largest value": f"{card['largest']:.4g}",
        "zeros": f"{1 - card['nonzero']:.1%}",
        "counts a cell" if counted else "sum a cell": ranged(card["library_size"]),
        "genes found a cell": ranged(card["genes_per_cell"]),
        "cells without counts": f"{card['cells_without_counts']:,}",
        "genes never found": f"{card['genes_without_counts']:,}",
        "labels": grouped(card["label_key"], card["labels"]),
        "unlabelled cells": f"{card['unlabelled']:,}",
        "batches": grouped(card["batch_key"], card["batches"]),
        "label x batch": association(card["confounding"]),
        "exact duplicates": f"{exact['cells']:,} cells",
        "near-duplicates": "not looked for in so many cells"
        if near is None
        else f"{near['cells']:,} cells (cosine > {near['threshold']} of log-normalised profiles)",
        "repeated gene names": f"{names['repeated']:,}",
    }
    return told


def ranged(spread: Mapping[str, Any]) -> str:
    """The smallest, median and largest."""
    return " / ".join(f"{spread[key]:,.0f}" for key in ("min", "median", "max")) + (
        " (min / median / max)"
    )


def grouped(key: str | None, sizes: Mapping[str, int] | None) -> str:
    """How many classes a column has, and how large they are."""
    if sizes is None:
        return "none"
    numbers = list(sizes.values()) or [0]
    return f"{len(sizes)} in obs[{key!r}], of {min(numbers):,} to {max(numbers):,} cells"


def association(found: Mapping[str, Any] | None) -> str:
    """How far one could tell the label from the batch."""
    if found is None or found["cramers_v"] is None:
        return "one of the two has a single value or is not there"
    alone = len(found["labels_in_one_batch"])
    return (
        f"Cramer's V {found['cramers_v']:.2f}; {alone} of {len(found['table'])} types in one batch"
    )


def drawings(card: Mapping[str, Any]) -> list[dict[str, str]]:
    """The figures there is something to draw for, each with what it shows in words."""
    from analysis.figures.cells import classes, depth, mixture

    drawn = [
        {
            "svg": svg(depth(card)),
            "caption": "How deep the cells were sequenced; the line is the median.",
        }
    ]
    if card["labels"]:
        drawn.append({"svg": svg(classes(card["labels"])), "caption": "Cells of each type."})
    if card["batches"] and len(card["batches"]) > 1:
        drawn.append({"svg": svg(classes(card["batches"])), "caption": "Cells of each batch."})
        if card["confounding"]:
            caption = "Which share of each type lies in which batch. Rows that look alike are well"
            caption += " mixed; a single dark cell in a row is a type that one batch alone has."
            drawn.append({"svg": svg(mixture(card["confounding"]["table"])), "caption": caption})
    return drawn
