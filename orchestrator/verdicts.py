"""What the command draws of claims: comparisons, and published numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from orchestrator.known import Facts
from orchestrator.show import console

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "identical": "cyan",
    "undecided": "yellow",
}
CORRECTED = {"holm": "p (Holm)", "benjamini-hochberg": "p (B-H)", "none": "p (as it is)"}


def comparison(rows: pd.DataFrame, correction: str = "holm") -> None:
    """Rows of `analysis.compare`, a table a pair of models and data set, with verdicts.

    Below each table stand why its test was taken, and the notes of its rows. A Bayesian test has
    chances instead of p-values.
    """
    if rows.empty:
        return
    made = rows if (rows["n"] == 0).all() else rows[rows["n"] > 0]  # some cannot be made at all
    metrics, tests = ", ".join(sorted(set(rows["metric"]))), ", ".join(sorted(set(made["test"])))
    seeds = ", ".join(str(n) for n in sorted(set(made["n"])))
    console.print(f"\n{metrics} over {seeds} seeds, {tests} test", style="dim", highlight=False)
    if rows.get("exploratory") is not None and rows["exploratory"].any():
        which = "" if rows["exploratory"].all() else "in part "
        console.print(f"{which}exploratory: not fixed before the first trial", style="yellow")
    if "look" in rows and rows["look"].notna().any():
        spent = ", ".join(f"{n} ended at look {look}" for look, n in counted(rows["look"]))
        console.print(f"p-values allow for several looks: {spent}", style="dim", highlight=False)
    bayes = bool((rows["test"] == "bayes").all())
    kinds = ("chance_worse", "chance_equivalent", "chance_better")
    columns = kinds if bayes else ("p", "p_adjusted")
    heads = ("worse", "alike", "better") if bayes else ("p", CORRECTED[correction])
    for (a, b, dataset, metric), block in rows.groupby(["a", "b", "dataset", "metric"], sort=False):
        about = f"{a} minus {b}, {dataset}" + f", {metric}" * (rows["metric"].nunique() > 1)
        drawn = Table(box=None, pad_edge=False)
        for column in ("labels", "difference", "95% interval", *heads):
            drawn.add_column(column, justify="right", no_wrap=True)
        drawn.add_column("verdict")
        drawn.add_column("seeds needed", justify="right", no_wrap=True)
        for row in block.to_dict("records"):
            style = VERDICTS[row["verdict"]]
            drawn.add_row(
                f"{row['fraction']:.0%}",
                number(row["difference"], "+.3f"),
                interval(row["ci_low"], row["ci_high"]),
                *(number(row[column], ".2g") for column in columns),
                f"[{style}]{row['verdict']}[/{style}]",
                "-" if missing(row["seeds_needed"]) else str(row["seeds_needed"]),
            )
        console.print(f"[bold]{escape(about)}[/bold]", drawn, sep="\n")
        for line in remarks(block):
            console.print(escape(line), style="dim", highlight=False)


def remarks(block: pd.DataFrame) -> list[str]:
    """Lines below a table of comparisons: why each test was taken, and the note of each row.

    Rows that share a line are named by their label shares, where not all of them do.
    """
    shares: dict[str, list[str]] = {}
    for row in block.to_dict("records"):
        if row["why"]:
            why = row["why"].partition(" (test share")[0]
            shares.setdefault(f"{row['test']}: {why}", []).append(f"{row['fraction']:.0%}")
    for row in block.to_dict("records"):
        if row["note"]:
            untested = missing(row["p"]) and row["test"] != "bayes"
            kind = "cannot be made" if row["fault"] else "not tested" if untested else "note"
            kind = "note" if row["verdict"] == "identical" else kind
            shares.setdefault(f"{kind}: {row['note']}", []).append(f"{row['fraction']:.0%}")
    every = block["fraction"].nunique()
    return [
        line + (f" ({', '.join(some)} of labels)" if len(some) < every else "")
        for line, some in shares.items()
    ]


def missing(value: Any) -> bool:
    """Whether a number is none, or no number; pandas has one of its own for whole numbers."""
    import pandas as pd

    return value is None or bool(pd.isna(value))


def not_compared(reasons: Sequence[str]) -> None:
    """Planned comparisons that cannot be made, a line each."""
    for reason in reasons:
        console.print(f"[red]not compared[/red]: {escape(reason)}", highlight=False)


def counted(column: pd.Series) -> list[tuple[Any, int]]:
    """The values that are there, in order, and how often each is."""
    return list(column.value_counts().sort_index().items())


OUTCOMES = {"PASS": "green", "WITHIN NOISE": "yellow", "FAIL": "red", "NOT RUN": "dim"}


def reproduction(found: Facts) -> None:
    """Published numbers beside ours, a table a data set and metric; reasons once, below."""
    cells = found["cells"]
    console.print(f"[bold]{found['sweep']}[/bold]: {escape(found['title'])}", highlight=False)
    if cells.empty:
        return console.print("no number of it is published, so there is nothing to set ours beside")
    for where, block in cells.groupby(["dataset", "metric"], sort=False):
        rows = [
            {
                "model": armed(row["model"], row["fraction"]),
                "published": mean_of(row["published"], row["published_low"]),
                "runs": str(row["published_n"]),
                "ours": mean_of(row["ours"], row["low"]),
                "runs ": str(row["n"] or "-"),
                "difference": number(row["difference"], "+.4f"),
                "margin": number(row["margin"], ".4f"),
                "verdict": f"[{OUTCOMES[row['verdict']]}]{row['verdict']}[/]",
            }
            for row in block.to_dict("records")
        ]
        numbers(where, rows)
    for where, block in (
        found["tests"].dropna(subset="p_of_its_runs").groupby(["dataset", "metric"], sort=False)
    ):
        rows = [
            {
                "p, Student's test": f"{armed(row['model'], row['fraction'])} against"
                f" {row['against'].removeprefix(row['model'] + '/')}",
                "published": number(row["p_published"], ".3g"),
                "of its runs": number(row["p_of_its_runs"], ".3g"),
                "ours": number(row["p_ours"], ".3g"),
            }
            for row in block.to_dict("records")
        ]
        numbers(where, rows)
    counts = cells["verdict"].value_counts()
    tally = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if name in counts)
    console.print(f"\n{len(cells)} published numbers: {tally}", highlight=False)
    reasons = cells.assign(why=cells["why"].str.split("\n")).explode("why").query("why != ''")
    for (verdict, why), n in reasons.groupby(["verdict", "why"], sort=False).size().items():
        console.print(f"{verdict}, {n}: {escape(why)}", style="dim", highlight=False)


def armed(model: str, fraction: float) -> str:
    """An arm, with its label share where that is not all."""
    return escape(model) + (f", {fraction:.0%}" if fraction < 1 else "")


def numbers(where: Any, rows: Sequence[Mapping[str, str]]) -> None:
    """Published and own numbers of one data set and metric, words left and numbers right."""
    dataset, metric = where
    drawn = Table(box=None, pad_edge=False)
    for i, column in enumerate(rows[0]):
        words = i == 0 or column == "verdict"
        side: Any = "left" if words else "right"
        drawn.add_column(column, justify=side, no_wrap=i > 0, overflow="fold")
    for row in rows:
        drawn.add_row(*row.values())
    about = f"{dataset or 'median over all data sets'}, {metric}"
    console.print(f"\n[bold]{escape(about)}[/bold]", drawn, sep="\n")


def mean_of(mean: float, low: float) -> str:
    """A mean and its interval, or a dash."""
    if mean != mean:
        return "-"
    return f"{mean:.4f}{'' if low != low else f' ± {mean - low:.4f}'}"


def interval(low: float, high: float) -> str:
    """Both ends, or a dash where there are none."""
    return "-" if low != low else f"{low:+.3f} to {high:+.3f}"


def number(value: Any, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None or value != value else format(value, form)
