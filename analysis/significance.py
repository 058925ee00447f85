"""Is one model better than another, and are we sure?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis import intervals
from analysis.effects import hedges_g
from analysis.power import MOST_SEEDS, out_of_reach, seeds_needed
from analysis.selection import choose_on_validation, twin
from analysis.table import CELL, check, ok, values_of

TESTS = ("auto", "paired", "welch", "student", "wilcoxon", "nadeau-bengio")
UNPAIRED = ("welch", "student")
NAN = float("nan")
ROUNDING = 1e-6
"""Scores that differ by less over seeds do not vary: they are rounded differently."""


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
    seeds_needed: int | None = None
    note: str = ""
    margin: float | None = None
    within_margin: bool = False


COLUMNS = [name for name in Comparison.__dataclass_fields__ if name != "within_margin"]


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
) -> pd.DataFrame:
    """Model `a` against model `b`, a row per task, data set and fraction.

    `table` is the tidy table; it is checked, and hyperparameters are chosen on `select_on` (by
    default the validation twin of `metric`), before anything is compared. `difference` is a - b:
    positive when a is better, as higher is better in every metric. With `wilcoxon` it is the
    Hodges-Lehmann estimate. Intervals have confidence 1 - alpha and belong to the test that was
    used; they are not adjusted for multiplicity, and `p_adjusted` is, over the rows returned.

    Verdicts: "equivalent" when a `margin` is given and the 1 - 2 alpha interval lies within it
    (two one-sided tests); else "better" or "worse" (a than b) when p_adjusted < alpha; else
    "undecided". A comparison that cannot be tested has no p-value and says why in `note`.

    Raises LookupError for a model or metric that is not there, ValueError for an unusable table,
    an unknown test or a margin that is not positive.
    """
    found = unadjusted(table, a, b, metric, test, alpha, margin, select_on)
    return adjusted(found, alpha, correction)


def compare_all(
    table: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]],
    *,
    test: str = "auto",
    alpha: float = 0.05,
    correction: str | None = "holm",
    select_on: str | None = None,
) -> pd.DataFrame:
    """Comparisons that were planned together, adjusted together.

    Each is a mapping with "a" and "b", and if wished "metric", "margin", "test", "select_on". The
    rows are those of `compare`, one after the other; p-values are adjusted over all of them.
    """
    found = []
    for comparison in comparisons:
        asked = {"test": test, "select_on": select_on, **comparison}
        found += unadjusted(table, alpha=alpha, **asked)
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
) -> list[Comparison]:
    """The answers of one comparison, before it is known how many others were asked."""
    check(table)
    refuse_bad_questions(table, a, b, metric, test, margin)
    both = table[table["model"].isin([a, b])]
    both = choose_on_validation(both, select_on or twin(metric))
    found = []
    for _, rows in both.groupby(CELL):
        if rows["model"].nunique() == 2:
            cell = rows.iloc[0][CELL]
            row = Comparison(*cell, metric=metric, a=a, b=b, margin=margin)
            found.append(answer(row, rows, test, alpha))
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


def answer(row: Comparison, rows: pd.DataFrame, asked: str, alpha: float) -> Comparison:
    """`row` filled in from one cell of the design, or with the reason why it cannot be."""
    scores = values_of(rows, row.metric)
    in_a = scores[scores["model"] == row.a].set_index("seed")["value"].sort_index()
    in_b = scores[scores["model"] == row.b].set_index("seed")["value"].sort_index()
    shared = in_a.index.intersection(in_b.index)
    gone = [m for m, arm in ((row.a, in_a), (row.b, in_b)) if arm.empty]
    if gone:
        row.note = f"no {row.metric} of {' or '.join(gone)}"
        return row
    protocol = str(scores["protocol"].iloc[0])
    rho = held_out_share(scores) if protocol.startswith("random") else None
    chosen = choose_test(len(shared), rho, protocol)
    row.test, row.why = chosen if asked == "auto" else (asked, "asked for")
    notes = []
    if row.test not in UNPAIRED:
        notes.append(dropped(rows, row, in_a.index, in_b.index))
        in_a, in_b = in_a.loc[shared], in_b.loc[shared]
    a, b = in_a.to_numpy(float), in_b.to_numpy(float)
    row.n = min(len(a), len(b))
    row.mean_a, row.mean_b = (float(x.mean()) if len(x) else NAN for x in (a, b))
    row.difference = row.mean_a - row.mean_b
    reason = refusal(row.test, a, b, rho)
    if reason:
        notes.insert(0, reason)
    else:
        notes += tested(row, a, b, rho, alpha)
    row.note = "; ".join(note for note in notes if note)
    return row


def held_out_share(scores: pd.DataFrame) -> float | None:
    """rho: the share of a data set's cells that a test set takes; None where none are held out.

    Two random splits share cells, so their scores correlate; Nadeau & Bengio put the correlation
    at the test share, n_test / (n_test + n_train). At a few-shot fraction a model is given a
    fraction of the cells that are not tested on, so all cells are n_eval + n_train / fraction.
    Taking n_test / n_train as it stands would instead exceed 1 at small fractions, where training
    sets hardly overlap and scores correlate less, not more. Which rho gives the promised error
    rate at small fractions is a choice still to be calibrated by simulation.
    """
    sizes = scores.dropna(subset=["n_eval", "n_train"])
    sizes = sizes[sizes["n_train"] > 0]
    if sizes.empty:
        return None
    rest = sizes["n_train"] / sizes["fraction"]
    return float((sizes["n_eval"] / (sizes["n_eval"] + rest)).median())


def choose_test(n_shared: int, rho: float | None, protocol: str) -> tuple[str, str]:
    """The test that fits how the trials were drawn, and why in one line."""
    if n_shared == 0:
        return "welch", "no seed is shared: two independent samples, each with its own variance"
    if protocol.startswith("leave one batch out"):
        return "paired", "each seed leaves out another batch: paired over batches"
    if protocol.startswith(("fixed", "as ")):
        return "paired", "shared seeds, one fixed test set: it speaks of these test cells only"
    if rho is None:
        return "paired", "shared seeds and no held-out cells: every seed meets the same cells"
    return (
        "nadeau-bengio",
        f"shared seeds whose splits overlap: paired, corrected for a test share of {rho:.0%}",
    )


def refusal(test: str, a: np.ndarray, b: np.ndarray, rho: float | None) -> str | None:
    """Why these scores cannot be tested, or None when they can."""
    n = min(len(a), len(b))
    if n < 2:
        kind = "seeds in each arm" if test in UNPAIRED else "shared seeds"
        return f"{n} of at least 2 {kind}: no spread to judge a difference by"
    if test == "nadeau-bengio" and rho is None:
        return "no n_train and n_eval to correct for: use paired"
    if test in UNPAIRED:
        if np.ptp(a) < ROUNDING and np.ptp(b) < ROUNDING:
            return "no spread over seeds in either arm"
    elif np.ptp(a - b) < ROUNDING:
        same = np.abs(a - b).max() < ROUNDING
        return "identical scores on every seed" if same else "the same difference on every seed"
    return None


def tested(
    row: Comparison, a: np.ndarray, b: np.ndarray, rho: float | None, alpha: float
) -> list[str]:
    """Fill in the test's results; returns what a reader should know of them."""
    extra = rho / (1 - rho) if row.test == "nadeau-bengio" and rho is not None else 0.0
    if row.test in UNPAIRED:
        in_t = intervals.welch(a, b) if row.test == "welch" else intervals.student(a, b)
    else:
        in_t = intervals.paired(a, b, extra)
    estimate = intervals.RankEstimate(a - b) if row.test == "wilcoxon" else in_t
    row.difference = estimate.difference
    row.ci_low, row.ci_high = estimate.interval(1 - alpha)
    row.statistic, row.df, row.p = estimate.statistic, estimate.df, estimate.p
    row.effect, row.effect_low, row.effect_high = hedges_g(a, b, in_t, 1 - alpha)
    row.seeds_needed = seeds_needed(row.test, a, b, alpha=alpha, extra=extra)
    if row.margin is not None:
        low, high = estimate.interval(1 - 2 * alpha)
        row.within_margin = -row.margin < low and high < row.margin
    return caveats(row, a, b, rho, extra, alpha)


def caveats(
    row: Comparison, a: np.ndarray, b: np.ndarray, rho: float | None, extra: float, alpha: float
) -> list[str]:
    """What a reader should know of a result that has a p-value."""
    notes = []
    if row.test == "wilcoxon":
        notes.append("difference and interval are Hodges-Lehmann's")
        if 2 ** (1 - row.n) >= alpha:
            notes.append(f"{row.n} pairs cannot reach p < {alpha:g}")
    if row.test in UNPAIRED and len(a) != len(b):
        notes.append(f"{len(a)} and {len(b)} seeds")
    if row.test != "nadeau-bengio" and rho is not None:
        notes.append("the seeds' splits share cells, which this test takes for independent")
    if row.seeds_needed is None and row.p >= alpha:
        if extra and out_of_reach(a, b, extra, alpha):
            notes.append("more seeds cannot decide this: more test cells can")
        else:
            notes.append(f"more than {MOST_SEEDS} seeds would be needed")
    return notes


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


def adjusted(
    found: Sequence[Comparison], alpha: float = 0.05, correction: str | None = "holm"
) -> pd.DataFrame:
    """The rows as a table, with p-values adjusted over all of them, and verdicts.

    `correction` is a method of statsmodels' multipletests, or None for none. A row without a
    p-value is no question asked, and does not count.
    """
    rows = pd.DataFrame([asdict(row) for row in found], columns=[*COLUMNS, "within_margin"])
    rows["seeds_needed"] = rows["seeds_needed"].astype("Int64")
    rows["margin"] = rows["margin"].astype(float)
    known = rows["p"].notna()
    rows["p_adjusted"] = rows["p"]
    if correction and known.any():
        from statsmodels.stats.multitest import multipletests

        rows.loc[known, "p_adjusted"] = multipletests(rows.loc[known, "p"], method=correction)[1]
    sure = rows["p_adjusted"] < alpha
    rows.loc[sure & (rows["difference"] > 0), "verdict"] = "better"
    rows.loc[sure & (rows["difference"] < 0), "verdict"] = "worse"
    rows.loc[rows["within_margin"].astype(bool), "verdict"] = "equivalent"
    return rows[COLUMNS]
