"""Is one model better than another, and are we sure?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pandas as pd

from analysis.bayes import Posterior
from analysis.comparison import COLUMNS, Comparison, dropped
from analysis.corrections import CORRECTIONS, level_of_one
from analysis.design import choose_test, design_of
from analysis.effects import hedges_g
from analysis.intervals import TEstimate, p_equivalent, paired
from analysis.looks import Look
from analysis.offered import OFFERED, TESTS, Scores
from analysis.power import EFFICIENCY, outlook
from analysis.predictions import Predictions, cell_by_cell, over_classes
from analysis.selection import choose_on_validation, twin
from analysis.table import CELL, check, is_error, ok, values_of

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
    a is better when it is positive, or negative where less is better (see `table.is_error`). With
    `wilcoxon` it is the Hodges-Lehmann estimate. Intervals have confidence 1 - alpha and belong to
    the test that was used; they are not adjusted for multiplicity, and `p_adjusted` is, over the
    rows returned, by one of `CORRECTIONS`. `predictions` gives the test cells that a trial kept,
    without which some tests are refused and `auto` takes the second best.

    Verdicts: "equivalent" when a `margin` is given and `p_equivalent`, of two one-sided tests
    against a difference outside it, is below alpha; else "better" or "worse" (a than b) when
    p_adjusted < alpha; else "undecided". With `bayes` a verdict is what has a posterior chance
    above 1 - alpha. A comparison that cannot be tested has no p-value and says why in `note`.

    Raises LookupError for a model or metric that is not there, ValueError for an unusable table,
    an unknown test or correction or a margin that is not positive.
    """
    found = unadjusted(table, a, b, metric, test, alpha, margin, select_on, predictions)
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
    stopping at any of them.
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
            found.append(answer(row, rows, test, alpha, predictions, look))
    if not found:
        raise LookupError(f"{a} and {b} never meet: no task, data set and fraction has both")
    return found


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
    measured = values_of(rows, row.metric)
    arms = [measured[measured["model"] == m].set_index("seed").sort_index() for m in (row.a, row.b)]
    in_a, in_b = arms
    shared = in_a.index.intersection(in_b.index)
    gone = [m for m, arm in ((row.a, in_a), (row.b, in_b)) if arm.empty]
    if gone:
        row.note = f"no {row.metric} of {' or '.join(gone)}"
        return row
    design = design_of(measured)
    cells = None
    if asked in NEED_CELLS or (asked == "auto" and design.kind in ("random", "fixed")):
        cells = cell_by_cell(row.metric, in_a.loc[shared], in_b.loc[shared], predictions)
    chosen = choose_test(len(shared), design, cells is not None)
    row.test, row.why = chosen if asked == "auto" else (asked, "asked for")
    notes = []
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
        ascending = chances[::-1] if is_error(row.metric) else chances
        row.chance_worse, row.chance_equivalent, row.chance_better = ascending
    elif row.margin is not None:
        row.p_equivalent = look.one_sided(float(p_equivalent(estimate, row.margin)))
    if min(len(a), len(b)) > 1:
        row.outlook = partial(outlook, row.test, a, b, float(getattr(estimate, "floor", 0.0)))
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
    if scores.design.kind == "whole":
        notes.append("it speaks of other seeds on these cells, and not of other cells")
    return notes


def adjusted(
    found: Sequence[Comparison], alpha: float = 0.05, correction: str | None = "holm"
) -> pd.DataFrame:
    """The rows as a table, with p-values adjusted over all of them, and verdicts.

    `correction` is one of `CORRECTIONS`, or None for none. A row without a p-value is no question
    asked, and does not count.
    """
    if correction is not None and correction not in CORRECTIONS:
        raise ValueError(f"no correction {correction!r}; there are: {', '.join(CORRECTIONS)}")
    method = CORRECTIONS[correction or "none"]
    rows = pd.DataFrame([asdict(row) for row in found], columns=COLUMNS)
    rows["look"] = rows["look"].astype("Int64")
    rows["margin"] = rows["margin"].astype(float)
    known = rows["p"].notna()
    rows["p_adjusted"] = rows["p"]
    if known.any():
        rows.loc[known, "p_adjusted"] = method(rows.loc[known, "p"].to_numpy(float))
    sure = rows["p_adjusted"] < alpha
    ahead = rows["difference"] * [-1 if is_error(metric) else 1 for metric in rows["metric"]]
    rows.loc[sure & (ahead > 0), "verdict"] = "better"
    rows.loc[sure & (ahead < 0), "verdict"] = "worse"
    rows.loc[rows["p_equivalent"] < alpha, "verdict"] = "equivalent"
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
