"""What the command draws in a terminal: facts, tables, plans, and what a run ends with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.known import Facts
from orchestrator.options import DEFAULT_STORAGE

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.driver import Ran

console = Console()


def table(title: str, rows: list[Facts]) -> None:
    """Facts as a table, a column a key."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    drawn = Table(box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, style="bold" if column == columns[0] else "", overflow="fold")
    for row in rows:
        drawn.add_row(*(text(row.get(column, "")) for column in columns))
    console.print(f"[bold]{escape(title)}[/bold]", drawn if rows else "  none", sep="\n")


def text(value: Any) -> str:
    """A value as a reader wants it."""
    if isinstance(value, bool):
        return "[green]ok[/green]" if value else "[red]no[/red]"
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def facts(title: str, found: Facts) -> None:
    """One thing's facts, a line a key; nested ones by dotted name."""
    drawn = Table(box=None, pad_edge=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    drawn.show_header = False
    for key, value in flat(found).items():
        drawn.add_row(key, text(value))
    console.print(f"[bold]{escape(title)}[/bold]", drawn, sep="\n")


def flat(found: Facts, above: str = "") -> Facts:
    """Nested facts by dotted name."""
    flattened: Facts = {}
    for key, value in found.items():
        if isinstance(value, dict) and value:
            flattened |= flat(value, f"{above}{key}.")
        elif isinstance(value, list):
            flattened[above + key] = ", ".join(map(str, value))
        else:
            flattened[above + key] = value
    return flattened


def plan_summary(summary: Facts) -> None:
    """A plan in a few lines."""
    estimate = summary["estimate"]
    seconds, unknown = estimate["trial_seconds"], estimate["unknown"]
    between = f" ({estimate['low']:g} to {estimate['high']:g})" if seconds else ""
    cost = f"{seconds:g} trial seconds{between}" + (
        f", and {unknown} trials of unknown cost" * (unknown > 0)
    )
    drawn = {
        "trials": f"{summary['trials']}: {summary['cached']} known, {summary['to_run']} to run",
        "models": ", ".join(f"{model} x {n}" for model, n in summary["models"].items()),
        "data sets": ", ".join(summary["datasets"]),
        **{f"cells of {name}": words for name, words in summary.get("cells", {}).items()},
        "fractions": ", ".join(f"{fraction:g}" for fraction in summary["fractions"]),
        "seeds": len(summary["seeds"]),
        "resources": "; ".join(
            f"{model}: {', '.join(f'{n:g} {what}' for what, n in needs.items())}"
            for model, needs in summary["resources"].items()
        ),
        "estimate": f"{cost} ({estimate['basis']})",
    }
    if weights := summary.get("weights"):
        drawn["weights"] = "; ".join(f"{arm}: {one['words']}" for arm, one in weights.items())
    if search := summary.get("search"):
        drawn["search"] = f"{search['settings']} of {search['of']} settings so far, {search['by']}"
    if apart := summary.get("environments"):
        told = (f"{model} has its own, with {', '.join(some)}" for model, some in apart.items())
        drawn["environments"] = "; ".join(told)
    facts(f"{summary['sweep']}: {summary['title']}", drawn)
    differences(summary.get("differences", []))


def differences(declared: Sequence[Facts]) -> None:
    """What is not as the paper has it, an item a line, with the change that asks for its way."""
    if not declared:
        return
    console.print("\n[bold]not as in the paper[/bold]")
    for one in declared:
        way = f"; the paper's way: {one['instead']}" if one["instead"] else ""
        console.print(
            f"  {one['item']}: {one['paper']}. Here: {one['sweep']}{way}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def choices(differences: Sequence[Facts]) -> None:
    """The choices that a reader can change, and where the other differences stand."""
    for one in differences:
        if one["instead"]:
            console.print(
                f"{one['item']}: {one['sweep']}; for the paper's ({one['paper']}) add"
                f" {one['instead']}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    if differences:
        console.print(
            f"{len(differences)} items are not as in the paper; the report lists them",
            markup=False,
            highlight=False,
        )


def result_rows(rows: pd.DataFrame) -> None:
    """The tidy table in a terminal: what is the same in every row is said once, above."""
    shown = "sweep model dataset fraction seed metric value status trial_id".split()
    same = [c for c in shown[:6] if rows[c].nunique(dropna=False) == 1 and len(rows) > 1]
    columns = [c for c in shown if c not in same]
    constants = {c: rows[c].iloc[0] for c in same}
    told = [f"{c} {v:g}" if c in ("fraction", "seed") else str(v) for c, v in constants.items()]
    title = ", ".join([f"{len(rows)} rows", *told])
    table(title, [dict(zip(columns, row, strict=True)) for row in rows[columns].to_numpy()])


def failure_groups(found: list[Facts]) -> None:
    """Each reason with its count, and one trace."""
    if not found:
        console.print("nothing failed")
    for group in found:
        console.print(
            f"[bold]{group['trials']} x {group['status']}[/bold] in {group['sweep']}"
            f" ({', '.join(group['models'])}): {escape(group['reason'])}",
            highlight=False,
        )
        if group["trace"]:
            console.print(escape(group["trace"].rstrip()), style="dim", highlight=False)
        console.print(f"  such as trial {group['example']}\n", highlight=False)


def unscored(sentences: Sequence[str]) -> None:
    """The models that have no score, before anything else is said."""
    for sentence in sentences:
        console.print(f"[bold red]{escape(sentence)}[/bold red]", highlight=False, soft_wrap=True)


def ending(ran: Ran, page: Path | None, storage: str, tracking_uri: str | None) -> None:
    """What a run ends with, and where to go on."""
    counts = ", ".join(f"{n} {status}" for status, n in sorted(ran.statuses.items()))
    console.print(
        f"\n[bold]{ran.sweep}[/bold]: {ran.ran} trials run in {ran.seconds:.0f} s;"
        f" of {ran.planned} planned {counts or 'none has run'}",
        highlight=False,
    )
    if ran.left_out:
        console.print(f"{ran.left_out} trials were left out by --only and have not run")
    if (took := ran.makespan) is not None and took.predicted:
        besides = f", and {took.unknown} of unknown cost" * (took.unknown > 0)
        console.print(
            f"trials took {took.actual:.0f} s; predicted {took.predicted:.0f}"
            f" ({took.low:.0f} to {took.high:.0f}){besides}",
            style="dim",
            highlight=False,
        )
    place = "" if storage == DEFAULT_STORAGE else f" --storage {storage}"
    if page is not None:
        console.print(f"report  {page}", highlight=False, soft_wrap=True)
    if ran.untracked:
        console.print(
            f"[yellow]MLflow lacks some runs[/yellow] ({escape(ran.untracked)});"
            f" send them with: gauntlet sync {ran.sweep}{place}"
        )
    elif not tracking_uri:
        console.print(f"MLflow  gauntlet ui{place}", highlight=False)
    if ran.failed:
        console.print(f"[red]{ran.failed} failed[/red]: gauntlet failures {ran.sweep}{place}")
    if ran.interrupted:
        console.print(f"stopped with {ran.unfinished} trials to go; the same command resumes")
