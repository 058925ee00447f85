"""One comparison of two models, and who could not take part in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

NAN = float("nan")

Outlook = Callable[[float], tuple[int | None, str]]
"""A level -> the seeds that a difference takes to be found at it, or why none are enough."""


@dataclass
class Comparison:
    """One question and its answer: a row of what `compare` returns."""

    task: str
    dataset: str
    fraction: float
    metric: str
    a: str
    b: str
    n: int = 0
    mean_a: float = NAN
    mean_b: float = NAN
    difference: float = NAN
    ci_low: float = NAN
    ci_high: float = NAN
    test: str = "none"
    why: str = ""
    statistic: float = NAN
    df: float = NAN
    p: float = NAN
    p_adjusted: float = NAN
    effect: float = NAN
    effect_low: float = NAN
    effect_high: float = NAN
    verdict: str = "undecided"
    """better, worse, equivalent, undecided, or identical: every test cell is named alike."""
    seeds_needed: int | None = None
    note: str = ""
    margin: float | None = None
    p_equivalent: float = NAN
    p_equivalent_adjusted: float = NAN
    chance_better: float = NAN
    chance_equivalent: float = NAN
    chance_worse: float = NAN
    look: int | None = None
    level: float = NAN
    better: str = ""
    """Which scores of the metric are better: "higher" or "lower"."""
    fault: str = ""
    """Why the comparison cannot be made at all, such as predictions that are damaged."""
    outlook: Outlook | None = None
    """Filled in for `seeds_needed` and its note, which depend on what else was asked."""


COLUMNS = [name for name in Comparison.__dataclass_fields__ if name != "outlook"]


def dropped(rows: pd.DataFrame, row: Comparison, in_a: pd.Index, in_b: pd.Index) -> str:
    """Which seeds were left out for want of a partner, and what became of it."""
    lonely = in_a.symmetric_difference(in_b)
    if lonely.empty:
        return ""
    parts = []
    for model, have in ((row.a, in_a), (row.b, in_b)):
        lost = rows[(rows["model"] == model) & rows["seed"].isin(lonely.difference(have))]
        how = lost.loc[lost["status"] != "ok"].drop_duplicates("seed")["status"].value_counts()
        n_absent = len(lonely.difference(have)) - int(how.sum())
        counts = [f"{n} {status}" for status, n in sorted(how.items())]
        counts += [f"{n_absent} absent"] if n_absent else []
        if counts:
            parts.append(f"{model}: {', '.join(counts)}")
    n_all = len(in_a.union(in_b))
    return f"{len(lonely)} of {n_all} seeds left out, without a partner ({'; '.join(parts)})"
