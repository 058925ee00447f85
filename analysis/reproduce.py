"""Published numbers beside ours: PASS, WITHIN NOISE, FAIL or NOT RUN, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.corrections import holm
from analysis.intervals import TEstimate, student
from analysis.published import sd_of_interval
from analysis.selection import choose_on_validation, twin
from analysis.table import MEASUREMENT, ok, refuse_duplicates, values_of

CELL = ["dataset", "fraction", "model", "metric"]
NAN = float("nan")
PASS, NOISE, FAIL, NOT_RUN = "PASS", "WITHIN NOISE", "FAIL", "NOT RUN"

SPREADS = 2.0
"""A margin is so many published sds between runs: nearly all of the authors' own lie as near."""
WIDEST = 5.0
"""And at most so many of the sweep's own margin: a noisy cell is hard to reproduce, not easy."""
DEFAULT_MARGIN = 0.01


@dataclass(frozen=True)
class Runs:
    """Some runs of one cell: their mean, how many they were, and their sample sd where known."""

    mean: float
    n: int
    sd: float = NAN

    @classmethod
    def of(cls, values: np.ndarray) -> Runs:
        """From the runs themselves; runs equal but for rounding have no spread."""
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else NAN
        return cls(float(np.mean(values)), len(values), 0.0 if sd < 1e-12 else sd)

    def interval(self) -> tuple[float, float]:
        """The 95 % t interval of the mean; NaN without a spread."""
        if not self.n > 1:
            return NAN, NAN
        reach = stats.t.ppf(0.975, self.n - 1) * self.sd / np.sqrt(self.n)
        return float(self.mean - reach), float(self.mean + reach)


@dataclass
class Cell:
    """One published number and what became of it; `reproduction` gives a table of these."""

    dataset: str
    fraction: float
    model: str
    metric: str
    published: float
    published_n: int
    published_low: float
    published_high: float
    sd_from: str
    """What the published spread is from: runs, interval, p-value (of both arms), or nothing."""
    margin: float
    ours: float = NAN
    n: int = 0
    low: float = NAN
    high: float = NAN
    difference: float = NAN
    difference_low: float = NAN
    difference_high: float = NAN
    """The 90 % interval of the difference: inside the margin is what two one-sided 5 % tests ask"""
    p: float = NAN
    p_adjusted: float = NAN
    verdict: str = NOT_RUN
    why: str = ""
    source: str = ""


@dataclass(frozen=True)
class Design:
    """What the sweep says beside its trials."""

    margins: Mapping[str, float] = field(default_factory=dict)
    """By metric: differences inside count as none."""
    errors: Sequence[str] = ()
    """Metrics of which less is better: their margin is a share of the published value."""
    datasets: Sequence[str] = ()
    obstacles: Mapping[str, str] = field(default_factory=dict)
    """Why a data set or a model cannot run here, by its name, and under "" why nothing has."""


def reproduction(
    published: pd.DataFrame, table: pd.DataFrame, design: Design, alpha: float = 0.05
) -> pd.DataFrame:
    """A row a published cell, with the columns of `Cell`.

    `published` is from `analysis.published`, `table` the tidy table of that sweep; its column
    `deviates`, if there, says of a row what was not as the paper has it ("" where nothing), and
    such rows do not count.

    PASS: the 90 % interval of the difference of means lies inside the margin (TOST at 5 %).
    FAIL: it does not, and the difference is none of chance: p < `alpha` after Holm's correction
    over all cells. WITHIN NOISE: neither is shown. The margin of a cell is `SPREADS` published sds
    between runs, but no less than the sweep's own margin and no more than `WIDEST` times that.

    Raises ValueError as `compare` does: for a measurement that is there twice, a score that is no
    finite number, or several candidates of a model and no validation score to choose one by.
    """
    table = once(table)
    found = []
    for _, rows in published[published["against"] == ""].groupby(CELL, sort=False):
        cell, theirs, slack = published_cell(rows, published, design)
        found.append(beside(cell, theirs, slack, table, design))
    cells = pd.DataFrame([asdict(cell) for cell in found], columns=list(Cell.__annotations__))
    tested = cells["p"].notna()
    if tested.any():
        cells.loc[tested, "p_adjusted"] = holm(cells.loc[tested, "p"].to_numpy(float))
    cells.loc[(cells["verdict"] == NOISE) & (cells["p_adjusted"] < alpha), "verdict"] = FAIL
    return cells


def once(table: pd.DataFrame) -> pd.DataFrame:
    """The table with one row for each measurement, refused where there are more.

    Rows that deviate from the paper do not count, and are not looked at.
    """
    counted = table[table["deviates"] == ""] if "deviates" in table else table
    columns = dict.fromkeys({*MEASUREMENT, "trial_id"} - set(counted.columns), "")
    refuse_duplicates(ok(counted.assign(**columns)))
    return table


def published_cell(
    rows: pd.DataFrame, published: pd.DataFrame, design: Design
) -> tuple[Cell, Runs, float]:
    """A cell as it is published, its runs, and by how much rounding may have moved the number."""
    runs = rows[rows["statistic"] == "run"]
    said = rows[rows["statistic"].isin(["mean", "median over data sets"])]
    if len(said) and not said["n"].max() <= len(runs):  # the mean of more runs than are listed
        n = int(said["n"].fillna(1).max())
        sd, spread_from = spread_of(rows, published, n)
        shown, theirs = said, Runs(float(said["value"].mean()), n, sd)
    else:
        spread_from = "runs" if len(runs) > 1 else ""
        shown, theirs = runs, Runs.of(runs["value"].to_numpy())
    dataset, fraction, model, metric = rows.iloc[0][CELL]
    low, high = theirs.interval()
    margin = margin_of(metric, theirs, design)
    source = "; ".join(dict.fromkeys(shown["source"]))
    about = dict(zip(CELL, (dataset, fraction, model, metric), strict=True))
    cell = Cell(**about, published=theirs.mean, published_n=theirs.n, published_low=low,
                published_high=high, sd_from=spread_from, margin=margin, source=source)  # fmt: skip
    return cell, theirs, 0.5 * 10.0 ** -float(shown["decimals"].min())


def spread_of(rows: pd.DataFrame, published: pd.DataFrame, n: int) -> tuple[float, str]:
    """The sd behind a published mean, and where it is from; NaN and "" where nothing tells.

    A Student test's p-value gives the sd that both arms share, from their two means.
    """
    printed = rows[rows["statistic"] == "ci95_halfwidth"]
    if len(printed):
        return sd_of_interval(float(printed["value"].iloc[0]), n), "interval"
    first = rows.iloc[0]
    keys = ["dataset", "fraction", "metric"]
    same = published[keys].eq(first[keys]).all(axis=1)
    alike = published[same]
    tests = alike[(alike["statistic"] == "pvalue")]
    tests = tests[(tests["model"] == first["model"]) | (tests["against"] == first["model"])]
    means = alike[alike["statistic"] == "mean"].set_index("model")["value"]
    for test in tests.to_dict("records"):
        if {test["model"], test["against"]} <= set(means.index):
            t = stats.t.isf(test["value"] / 2, 2 * n - 2)
            gap = abs(means[test["model"]] - means[test["against"]])
            return float(gap / t / np.sqrt(2 / n)), "p-value"
    return NAN, ""


def margin_of(metric: str, theirs: Runs, design: Design) -> float:
    """How far our mean may lie from the published one and still count as the same."""
    floor = design.margins.get(metric, min(design.margins.values(), default=DEFAULT_MARGIN))
    if metric in design.errors:
        floor *= abs(theirs.mean)
    return float(np.fmax(floor, min(SPREADS * theirs.sd, WIDEST * floor)))


def beside(cell: Cell, theirs: Runs, slack: float, table: pd.DataFrame, design: Design) -> Cell:
    """The cell with our numbers filled in, or with the reason why there are none."""
    about = (table["model"] == cell.model) & (table["fraction"] == cell.fraction)
    rows = table[about & (table["dataset"] == cell.dataset)] if cell.dataset else table[about]
    as_published = rows[rows["deviates"] == ""] if "deviates" in rows else rows
    values = seed_values(cell, as_published, design)
    if values.empty:
        cell.why = why_not(cell, rows, as_published, design)
        return cell
    ours = Runs.of(values.to_numpy())
    cell.ours, cell.n = ours.mean, ours.n
    cell.low, cell.high = ours.interval()
    distance = ours.mean - theirs.mean
    # the nearest number that would have been printed so
    cell.difference = float(np.sign(distance) * max(0.0, abs(distance) - slack))
    judge(cell, theirs, ours)
    lost = as_published[as_published["status"] != "ok"]["seed"].nunique()
    cell.why += f"; {lost} seeds failed" * (lost > 0)
    cell.why = cell.why.removeprefix("; ")
    return cell


def seed_values(cell: Cell, rows: pd.DataFrame, design: Design) -> pd.Series:
    """Our value for each seed; of all data sets together, the median at seeds that have all."""
    measured = values_of(one_candidate(rows, cell.metric), cell.metric)
    if cell.dataset:
        return measured.set_index("seed")["value"]
    wide = measured.pivot_table(index="seed", columns="dataset", values="value")
    return wide.reindex(columns=list(design.datasets)).dropna().median(axis=1)


def one_candidate(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of one candidate of a model, chosen on validation scores as `compare` chooses."""
    if "model_params" not in rows or rows["model_params"].nunique() < 2:
        return rows
    return choose_on_validation(rows, twin(metric))


def checked(cells: pd.DataFrame) -> str:
    """What a check makes of a reproduction: "passed", "failed", "not run" or "not judged"."""
    verdicts = set(cells["verdict"])
    if FAIL in verdicts:
        return "failed"
    if PASS in verdicts:
        return "passed"
    return "not judged" if NOISE in verdicts else "not run"


def judge(cell: Cell, theirs: Runs, ours: Runs) -> None:
    """Fill in the interval of the difference, p, and the verdict as far as one cell can say."""
    error, df = standard_error(theirs, ours)
    if not error > 0:
        cell.difference_low = cell.difference_high = cell.difference
        cell.verdict = PASS if abs(cell.difference) < cell.margin else FAIL
        cell.why = "no spread between runs on either side: judged by the margin alone"
        return
    estimate = TEstimate(cell.difference, error, df)
    cell.p = float(estimate.p)
    low, high = estimate.interval(0.9)
    cell.difference_low, cell.difference_high = float(low), float(high)
    cell.verdict = PASS if -cell.margin < low and high < cell.margin else NOISE
    if np.isnan(theirs.sd):
        cell.why = "no published spread: ours taken for both"
    elif np.isnan(ours.sd):
        cell.why = "one run of ours: the published spread taken for both"


def standard_error(theirs: Runs, ours: Runs) -> tuple[float, float]:
    """Of the difference of means, with its degrees of freedom: Welch's, or by the one known sd."""
    sides = [runs for runs in (theirs, ours) if not np.isnan(runs.sd)]
    if not sides:
        return 0.0, NAN
    if len(sides) == 1:
        (known,) = sides
        return known.sd * float(np.sqrt(1 / theirs.n + 1 / ours.n)), known.n - 1
    parts = [runs.sd**2 / runs.n for runs in sides]
    if not sum(parts):
        return 0.0, NAN
    df = sum(parts) ** 2 / sum(p**2 / (r.n - 1) for p, r in zip(parts, sides, strict=True))
    return float(np.sqrt(sum(parts))), df


def why_not(cell: Cell, rows: pd.DataFrame, as_published: pd.DataFrame, design: Design) -> str:
    """Why there is no number of ours: what became of its trials, or what they wait for, by line."""
    lost = as_published[as_published["status"] != "ok"].drop_duplicates("trial_id")
    if len(lost):
        status, reason = lost[["status", "reason"]].value_counts().index[0]
        return f"{len(lost)} {status}: {reason}"
    absent = sorted({*design.datasets} - {*as_published["dataset"]})
    if len(as_published) and not cell.dataset and absent:
        return f"a median over data sets, of which these have not run: {', '.join(absent)}"
    if len(as_published):
        return f"its trials kept no {cell.metric}"
    if len(rows):
        return f"not run as published: {rows['deviates'].iloc[0]}"
    needed = [cell.dataset] if cell.dataset else list(design.datasets)
    known = [design.obstacles[n] for n in (*needed, cell.model) if n in design.obstacles]
    return "\n".join(known) or design.obstacles.get("", "no trial of it has run")


def published_tests(published: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """A row a published p-value: it, the same from the published runs, and from our seeds.

    All three are of the papers' own test, Student's with the arms unpaired; NaN where runs are
    missing. It is shown for comparison: `analysis.compare` is what to decide by.
    """
    keys = ["dataset", "fraction", "metric", "model", "against"]
    runs = published[published["statistic"] == "run"]
    if "deviates" in table:
        table = table[table["deviates"] == ""]
    found = []
    for test in published[published["statistic"] == "pvalue"].to_dict("records"):
        arms = (test["model"], test["against"])
        theirs = [
            alike(runs, test, arm) if whole(published, test, arm) else np.empty(0) for arm in arms
        ]
        metric = str(test["metric"])
        ours = [
            alike(values_of(one_candidate(table[table["model"] == arm], metric), metric), test, arm)
            for arm in arms
        ]
        row: dict[str, Any] = {key: test[key] for key in keys}
        row |= {"p_published": test["value"], "p_of_its_runs": p_of(*theirs), "p_ours": p_of(*ours)}
        found.append(row)
    columns = [*keys, "p_published", "p_of_its_runs", "p_ours"]
    return pd.DataFrame(found, columns=columns)


def whole(published: pd.DataFrame, test: Mapping[Any, Any], arm: Any) -> bool:
    """Whether all runs behind one arm of a published test are published too."""
    cell = published[(published["against"] == "") & (published["model"] == arm)]
    for key in ("dataset", "fraction", "metric"):
        cell = cell[cell[key] == test[key]]
    n_of_mean = cell.loc[cell["statistic"] == "mean", "n"].max()
    wanted = [n for n in (n_of_mean, test["n"]) if n == n]
    return (cell["statistic"] == "run").sum() >= max(wanted, default=0)


def alike(values: pd.DataFrame, test: Mapping[Any, Any], arm: Any) -> np.ndarray:
    """The values of one arm in the cell of a test."""
    mask = values["model"] == arm
    for key in ("dataset", "fraction", "metric"):
        mask &= values[key] == test[key]
    return values.loc[mask, "value"].to_numpy(float)


def p_of(a: np.ndarray, b: np.ndarray) -> float:
    """Student's p; NaN for less than two runs or no spread at all."""
    if min(len(a), len(b)) < 2 or not np.ptp(a) + np.ptp(b) > 0:
        return NAN
    return float(student(a, b).p)
