"""Comparisons that were planned together: answered, look by look where there are several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.comparison import COLUMNS, Comparison
from analysis.looks import Look
from analysis.predictions import Predictions
from analysis.significance import adjusted, unadjusted
from analysis.table import CELL

Place = tuple[Any, ...]
"""Which comparison, by number, and its task, data set and fraction."""


def family(
    table: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]],
    stopping: Mapping[str, Any] | None = None,
    predictions: Predictions | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The comparisons that can be made, adjusted together, and why the others cannot.

    `stopping` has the "seeds" and the "looks" of a sweep that adds seeds until all is decided; see
    `look_by_look`.
    """
    rows: dict[Place, Comparison] = {}
    faults: dict[Place, Comparison] = {}
    reasons: dict[int, str] = {}
    for i, asked in enumerate(comparisons):
        try:
            found = placed(i, unadjusted(table, **asked, predictions=predictions))
        except (LookupError, ValueError) as error:
            reason = str(error.args[0])
            reasons[i] = f"{asked['a']} against {asked['b']}: {reason}"
            continue
        rows |= {place: row for place, row in found.items() if not row.fault}
        faults |= {place: row for place, row in found.items() if row.fault}
    if stopping:
        able = {i: asked for i, asked in enumerate(comparisons) if i not in reasons}
        rows = look_by_look(table, able, rows, stopping, predictions)
    rows |= faults
    unanswered = list(reasons.values())
    unanswered += [
        f"{row.a} against {row.b} on {row.dataset}: {row.fault}" for row in faults.values()
    ]
    every = [rows[place] for place in sorted(rows, key=lambda place: place[0])]
    return adjusted(every) if rows else pd.DataFrame(columns=COLUMNS), unanswered


def look_by_look(
    table: pd.DataFrame,
    comparisons: Mapping[int, Mapping[str, Any]],
    places: Iterable[Place],
    stopping: Mapping[str, Any],
    predictions: Predictions | None,
) -> dict[Place, Comparison]:
    """Each comparison as the look has it that decided it, else as the last look that was reached.

    A look is reached when both arms have tried its seeds, and it takes no more than these. What
    one look decides stays so, whatever seeds others needed: p-values hold at any look, and so
    Holm's correction does (Maurer & Bretz 2013, doi:10.1080/19466315.2013.807748).
    """
    looks = tuple(stopping["looks"])
    rows = {
        place: Comparison(
            *place[1:],
            metric=comparisons[place[0]].get("metric", "test/macro_f1"),
            **{key: comparisons[place[0]].get(key) for key in ("a", "b", "margin")},
            note=f"not all of the {looks[0]} seeds of the first look are tried",
        )
        for place in places
    }
    waiting = set(rows)
    for number, n in enumerate(looks, 1):
        for i, asked in comparisons.items():
            cells = [place[1:] for place in waiting if place[0] == i]
            part = tried_by_both(table, asked, stopping["seeds"][:n], cells)
            if len(part):
                look = Look(number, looks)
                rows |= placed(i, unadjusted(part, **asked, predictions=predictions, look=look))
        verdicts = adjusted(list(rows.values()))["verdict"]
        waiting = {place for place, v in zip(rows, verdicts, strict=True) if v == "undecided"}
    return rows


def placed(i: int, found: Sequence[Comparison]) -> dict[Place, Comparison]:
    """The rows of the i-th comparison by their places."""
    return {(i, row.task, row.dataset, row.fraction): row for row in found}


def tried_by_both(
    table: pd.DataFrame, asked: Mapping[str, Any], seeds: Sequence[int], cells: Sequence[Place]
) -> pd.DataFrame:
    """The rows of two arms on these seeds, in those of the cells where all of them were tried.

    Tried is what ended, well or not, with every candidate.
    """
    both = table[table["model"].isin([asked["a"], asked["b"]]) & table["seed"].isin(seeds)]
    both = both[pd.MultiIndex.from_frame(both[CELL]).isin(cells)] if len(cells) else both.iloc[:0]
    n_tried = both.groupby([*CELL, "model", "model_params"])["seed"].transform("nunique")
    whole = (n_tried == len(seeds)).groupby([both[key] for key in CELL]).transform("all")
    return both[whole & (both.groupby(CELL)["model"].transform("nunique") == 2)]
