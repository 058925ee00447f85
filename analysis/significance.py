"""Is one model better than another, and are we sure?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.bayes import Posterior
from analysis.comparison import COLUMNS, Comparison, dropped
from analysis.corrections import CORRECTIONS, level_of_one
from analysis.declared import less_is_better
from analysis.design import choose_test, design_of
from analysis.effects import hedges_g
from analysis.intervals import TEstimate, p_equivalent, paired
from analysis.looks import Look
from analysis.offered import OFFERED, ROUNDING, TESTS, Scores
from analysis.power import EFFICIENCY, outlook
from analysis.predictions import (
    Predictions,
    cell_by_cell,
    identical,
    over_classes,
    without_predictions,
)
from analysis.selection import choose_on_validation, twin
from analysis.table import CELL, check, ok, values_of

NAN = float("nan")
NEED_CELLS = ("seeds-and-cells", "mcnemar")


def compare(
    table: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "test/macro_f1",
    *,
    test: str = "auto",
    alpha: float = 0.05,
    margin: float | None = None,
    correction: str | None = "holm",
    select_on: str | None = None,
    predictions: Predictions | None = None,
) -> pd.DataFrame:
    """Model `a` against model `b`, a row per task, data set and fraction.

    `table` is the tidy table; it is checked, and hyperparameters are chosen on `select_on` (by
    default the validation twin of `metric`), before anything is compared. `difference` is a - b;
    a is better when it is positive, or negative where the task declares that less is better. With
    `wilcoxon` it is the Hodges-Lehmann estimate. Intervals have confidence 1 - alpha and belong to
    the test that was used; they are not adjusted for multiplicity. `p_adjusted` and
    `p_equivalent_adjusted` are, each over the rows returned, by one of `CORRECTIONS`. `predictions`
    gives the test cells that a trial kept, without which some tests are refused and `auto` takes
    the second best.

    Verdicts: "identical" when predictions name every test cell of all shared seeds alike;
    "equivalent" when a `margin` is given and `p_equivalent_adjusted`, of two one-sided tests
    against a difference outside it, is below alpha; else "better" or "worse" (a than b) when
    p_adjusted < alpha; else "undecided". With `bayes` a verdict is what has a posterior chance
    above 1 - alpha. A comparison that cannot be tested has no p-value and says why in `note`.

    Raises LookupError for a model or metric that is not there, ValueError for an unusable table,
    an unknown test or correction, a margin that is not positive, a metric whose direction no task
    declares, a score that is no finite number, or predictions that contradict their own score.
    """
    found = unadjusted(table, a, b, metric, test, alpha, margin, select_on, predictions)
    refuse_faults(found)
    return adjusted(found, alpha, correction)


def compare_all(
    table: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]],
    *,
    test: str = "auto",
    alpha: float = 0.05,
    correction: str | None = "holm",
    select_on: str | None = None,
    predictions: Predictions | None = None,
) -> pd.DataFrame:
    """Comparisons that were planned together, adjusted together.

    Each is a mapping with "a" and "b", and if wished "metric", "margin", "test", "select_on". The
    rows are those of `compare`, one after the other; p-values are adjusted over all of them.
    """
    found = []
    for comparison in comparisons:
        asked = {"test": test, "select_on": select_on, **comparison}
        found += unadjusted(table, alpha=alpha, predictions=predictions, **asked)
    refuse_faults(found)
    return adjusted(found, alpha, correction)


def unadjusted(
    table: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "test/macro_f1",
    test: str = "auto",
    alpha: float = 0.05,
    margin: float | None = None,
    select_on: str | None = None,
    predictions: Predictions | None = None,
    look: Look | None = None,
) -> list[Comparison]:
    """The answers of one comparison, before it is known how many others were asked.

    With a `look`, one of several at growing numbers of seeds, p-values and intervals allow for
    stopping at any of them. One that cannot be made says why in its `fault`.
    """
    check(table)
    refuse_bad_questions(table, a, b, metric, test, margin)
    both = table[table["model"].isin([a, b])]
    both = choose_on_validation(both, select_on or twin(metric))
    found = []
    for _, rows in both.groupby(CELL):
        if rows["model"].nunique() == 2:
            cell = rows.iloc[0][CELL]
            row = Comparison(*cell, metric=metric, a=a, b=b, margin=margin)
            try:
                found.append(answer(row, rows, test, alpha, predictions, look))
            except ValueError as error:
                row.fault = row.note = str(error)
                found.append(row)
    if not found:
        raise LookupError(f"{a} and {b} never meet: no task, data set and fraction has both")
    return found


def refuse_faults(found: Sequence[Comparison]) -> None:
    """Raise ValueError for the first comparison that cannot be made."""
    for row in found:
        if row.fault:
            raise ValueError(row.fault)


def refuse_bad_questions(
    table: pd.DataFrame, a: str, b: str, metric: str, test: str, margin: float | None
) -> None:
    """Raise what `compare` promises to raise."""
    models = sorted(table["model"].unique())
    for model in (a, b):
        if model not in models:
            raise LookupError(f"no model {model!r} in the table; there are: {', '.join(models)}")
    if a == b:
        raise ValueError(f"{a!r} cannot be compared with itself")
    metrics = sorted(ok(table)["metric"].unique())
    if metrics and metric not in metrics:  # a table of failures has no metrics, and that is no typo
        raise LookupError(f"no metric {metric!r} in the table; there are: {', '.join(metrics)}")
    if test not in TESTS:
        raise ValueError(f"no test {test!r}; there are: {', '.join(TESTS)}")
    if margin is not None and not margin > 0:
        raise ValueError(f"margin is {margin}; a difference too small to matter is above 0")


def answer(
    row: Comparison,
    rows: pd.DataFrame,
    asked: str,
    alpha: float,
    predictions: Predictions | None = None,
    look: Look | None = None,
) -> Comparison:
    """`row` filled in from one cell of the design, or with the reason why it cannot be."""
    if look is not None:
        row.look, row.level = look.number, look.level(alpha)
    row.better = "lower" if less_is_better(rows, row.metric) else "higher"
    measured = values_of(rows, row.metric)
    in_a, in_b = arms_of(measured, row)
    shared = in_a.index.intersection(in_b.index)
    gone = [m for m, arm in ((row.a, in_a), (row.b, in_b)) if arm.empty]
    if gone:
        row.note = f"no {row.metric} of {' or '.join(gone)}"
        return row
    design = design_of(measured)
    notes = [seeds_of_batches(rows, measured, row)] if design.kind == "batches" else []
    if same_everywhere(row, in_a.loc[shared], in_b.loc[shared], predictions):
        notes.append(dropped(rows, row, in_a.index, in_b.index))
        row.note = "; ".join(note for note in notes if note)
        return row
    cells = None
    if asked in NEED_CELLS or (asked == "auto" and design.kind in ("random", "fixed")):
        cells = cell_by_cell(row.metric, in_a.loc[shared], in_b.loc[shared], predictions)
        if cells is None:
            notes.append(without_predictions(in_a.loc[shared], in_b.loc[shared], predictions))
    chosen = (asked, "asked for")
    row.test, row.why = (
        choose_test(len(shared), design, cells is not None) if asked == "auto" else chosen
    )
    if OFFERED[row.test].paired:
        notes.append(dropped(rows, row, in_a.index, in_b.index))
        in_a, in_b = in_a.loc[shared], in_b.loc[shared]
    a, b = in_a["value"].to_numpy(float), in_b["value"].to_numpy(float)
    row.n = min(len(a), len(b))
    row.mean_a, row.mean_b = (float(x.mean()) if len(x) else NAN for x in (a, b))
    row.difference = row.mean_a - row.mean_b
    scores = Scores(a, b, row.metric, design, cells)
    reason = OFFERED[row.test].refused(scores)
    if reason:
        notes.insert(0, reason)
    else:
        notes += tested(row, scores, alpha, look or Look(1, (1,)))
    row.note = "; ".join(note for note in notes if note)
    return row


def arms_of(measured: pd.DataFrame, row: Comparison) -> list[pd.DataFrame]:
    """The measurements of both models, each by its seed."""
    return [measured[measured["model"] == m].set_index("seed").sort_index() for m in (row.a, row.b)]


def same_everywhere(
    row: Comparison, a: pd.DataFrame, b: pd.DataFrame, predictions: Predictions | None
) -> bool:
    """Fill in the verdict "identical" where both models name every test cell alike."""
    equal = len(a) and np.abs(a["value"].to_numpy() - b["value"].to_numpy()).max() < ROUNDING
    if not equal or not identical(a, b, predictions):
        return False
    row.n, row.difference, row.verdict = len(a), 0.0, "identical"
    row.mean_a = row.mean_b = float(a["value"].mean())
    row.why = "both models name every test cell alike, at every seed"
    return True


def seeds_of_batches(rows: pd.DataFrame, measured: pd.DataFrame, row: Comparison) -> str:
    """What to say where several seeds leave out one batch."""
    every = ok(rows)
    n_seeds = every.loc[every["metric"] == row.metric, "seed"].nunique()
    n_batches = measured["seed"].nunique()
    if n_seeds == n_batches:
        return ""
    return f"{n_seeds} seeds leave out {n_batches} batches: averaged within each batch"


def tested(row: Comparison, scores: Scores, alpha: float, look: Look) -> list[str]:
    """Fill in the test's results; returns what a reader should know of them."""
    estimate = OFFERED[row.test].estimate(scores)
    sure = 1 - look.level(alpha)
    row.difference = float(estimate.difference)
    row.ci_low, row.ci_high = map(float, estimate.interval(sure))
    row.statistic, row.df = map(float, (estimate.statistic, estimate.df))
    row.p = look.two_sided(float(estimate.p))
    a, b = scores.a, scores.b
    if min(len(a), len(b)) > 1:
        in_t = estimate if isinstance(estimate, TEstimate) else paired(a, b)
        row.effect, row.effect_low, row.effect_high = hedges_g(a, b, in_t, sure)
    if isinstance(estimate, Posterior):
        chances = [float(chance) for chance in estimate.chances(row.margin or 0.0)]
        ascending = chances[::-1] if row.better == "lower" else chances
        row.chance_worse, row.chance_equivalent, row.chance_better = ascending
    elif row.margin is not None:
        row.p_equivalent = look.one_sided(float(p_equivalent(estimate, row.margin)))
    if min(len(a), len(b)) > 1:
        floor, batches = float(getattr(estimate, "floor", 0.0)), scores.design.kind == "batches"
        row.outlook = partial(outlook, row.test, a, b, floor, batches)
    return caveats(row, scores, alpha)


def caveats(row: Comparison, scores: Scores, alpha: float) -> list[str]:
    """What a reader should know of a result that is there."""
    notes = []
    if row.test == "wilcoxon":
        notes.append("difference and interval are Hodges-Lehmann's")
    if row.test in EFFICIENCY and 2 ** (1 - row.n) >= alpha:
        notes.append(f"{row.n} pairs cannot reach p < {alpha:g}")
    if row.test == "mcnemar":
        return [*notes, "it speaks of these trained models, and not of training them again"]
    if row.test == "bayes":
        notes.append("posterior chances: no p-value, and no correction for other questions")
    if not OFFERED[row.test].paired and len(scores.a) != len(scores.b):
        notes.append(f"{len(scores.a)} and {len(scores.b)} seeds")
    if not OFFERED[row.test].shared_cells and scores.design.kind == "random":
        notes.append("the seeds' splits share cells, which this test takes for independent")
    elif row.test != "seeds-and-cells" and over_classes(row.metric) and scores.design.extra:
        notes.append("a class of few cells makes this find differences too easily")
    if not scores.design.kind:
        notes.append("the task does not say how seeds draw test cells: taken for independent")
    if scores.design.kind == "whole":
        notes.append("it speaks of other seeds on these cells, and not of other cells")
    return notes


def adjusted(
    found: Sequence[Comparison], alpha: float = 0.05, correction: str | None = "holm"
) -> pd.DataFrame:
    """The rows as a table, with p-values adjusted over all of them, and verdicts.

    Those against no difference are one family, those against a difference beyond a margin another.

    `correction` is one of `CORRECTIONS`, or None for none. A row without a p-value is no question
    asked, and does not count.
    """
    if correction is not None and correction not in CORRECTIONS:
        raise ValueError(f"no correction {correction!r}; there are: {', '.join(CORRECTIONS)}")
    method = CORRECTIONS[correction or "none"]
    rows = pd.DataFrame([asdict(row) for row in found], columns=COLUMNS)
    rows["look"] = rows["look"].astype("Int64")
    rows["margin"] = rows["margin"].astype(float)
    for p in ("p", "p_equivalent"):  # a question and its margin are two families
        known = rows[p].notna()
        rows[f"{p}_adjusted"] = rows[p]
        if known.any():
            rows.loc[known, f"{p}_adjusted"] = method(rows.loc[known, p].to_numpy(float))
    known = rows["p"].notna()
    sure = rows["p_adjusted"] < alpha
    ahead = rows["difference"] * np.where(rows["better"] == "lower", -1, 1)
    rows.loc[sure & (ahead > 0), "verdict"] = "better"
    rows.loc[sure & (ahead < 0), "verdict"] = "worse"
    rows.loc[rows["p_equivalent_adjusted"] < alpha, "verdict"] = "equivalent"
    for verdict in ("better", "worse", "equivalent"):
        rows.loc[rows[f"chance_{verdict}"] > 1 - alpha, "verdict"] = verdict
    return looked_ahead(rows, found, partial(level_of_one, method, rows["p"][known], alpha=alpha))


def looked_ahead(
    rows: pd.DataFrame, found: Sequence[Comparison], level: Callable[[int], float]
) -> pd.DataFrame:
    """The rows with how many seeds each would take, at the level that the correction asks of it."""
    told = [
        row.outlook(level(i)) if row.outlook is not None else (None, "")
        for i, row in enumerate(found)
    ]
    rows["seeds_needed"] = pd.array([needed for needed, _ in told], dtype="Int64")
    open_still = (rows["verdict"] == "undecided") & rows["p"].notna()
    whys = [why if still else "" for (_, why), still in zip(told, open_still, strict=True)]
    rows["note"] = ["; ".join(filter(None, pair)) for pair in zip(rows["note"], whys, strict=True)]
    return rows
