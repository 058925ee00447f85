"""What a reader of a data card should worry about, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TINY = 10
"""A class of fewer cells cannot be split into train, validation and test and still be scored."""
SHALLOW = 500
"""Counts a cell, in the median, below which cell types blur."""
FEW_GENES = 1000


def warnings(card: dict[str, Any]) -> list[str]:
    """What a reader should worry about, a sentence each, the gravest first."""
    return [
        *warnings_of_values(card),
        *warnings_of_labels(card),
        *warnings_of_duplicates(card),
        *warnings_of_genes(card),
    ]


def warnings_of_values(card: dict[str, Any]) -> Iterator[str]:
    kind, where = card["values"]["kind"], card["values"]["source"]
    if kind != "counts":
        yield f"{where} holds no raw counts and no layer does: models that want counts cannot run"
    median = card["library_size"]["median"]
    if kind == "counts" and median < SHALLOW:
        yield f"shallow: half of the cells have fewer than {median:,.0f} counts"
    if n := card["cells_without_counts"]:
        yield f"{n:,} cells have no counts at all"


def warnings_of_labels(card: dict[str, Any]) -> Iterator[str]:
    if card["labels"] is None:
        yield "there are no cell types, so nothing can be annotated or scored by type"
        return
    if card["unlabelled"]:
        yield f"{card['unlabelled']:,} cells have no usable label and are left out"
    tiny = {name: n for name, n in card["labels"].items() if n < TINY}
    if tiny:
        named = ", ".join(f"{name} ({n})" for name, n in list(tiny.items())[:5])
        more = f" and {len(tiny) - 5} more" if len(tiny) > 5 else ""
        yield f"tiny classes: {named}{more}; leave them out with --min-cells {TINY}"
    total = sum(card["labels"].values())
    largest, n = next(iter(card["labels"].items()), ("", 0))
    if len(card["labels"]) == 1:
        yield f"every cell is {largest}: there is nothing to tell apart"
    elif total and n / total > 0.8:
        yield f"{n / total:.0%} of the cells are {largest}: accuracy will look good by itself"
    yield from warnings_of_confounding(card["confounding"])


def warnings_of_confounding(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None or found["cramers_v"] is None:
        return
    alone, labels = found["labels_in_one_batch"], len(found["table"])
    if found["cramers_v"] > 0.9:
        yield (
            f"label and batch are nearly the same thing (Cramer's V {found['cramers_v']:.2f}): a"
            " model can be right by recognising the batch"
        )
    elif alone:
        named = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        yield f"confounded: {len(alone)} of {labels} types lie in one batch only ({named})"


def warnings_of_duplicates(card: dict[str, Any]) -> Iterator[str]:
    found = card["exact_duplicates"]
    if found["cells"]:
        other = f", {found['other_label']} under another label" if found["other_label"] else ""
        yield (
            f"{found['cells']:,} cells repeat another cell exactly{other}: a split keeps them"
            " together"
        )
    near = card["near_duplicates"]
    if near and near["cells"]:
        above = f"cosine > {near['threshold']}"
        yield f"{near['cells']:,} cells are near-duplicates of another cell ({above})"


def warnings_of_genes(card: dict[str, Any]) -> Iterator[str]:
    names = card["gene_names"]
    if names["kind"] != "symbols":
        yield f"gene names are {names['kind']}: pretrained models look genes up by symbol"
    if names["repeated"]:
        named = ", ".join(names["repeated_examples"])
        yield f"{names['repeated']} gene names occur more than once, such as {named}"
    if card["genes"] < FEW_GENES:
        yield f"only {card['genes']:,} genes: pretrained models expect thousands"
