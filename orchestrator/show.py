"""What the command says of things: gathered as plain data, drawn as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.options import DEFAULT_STORAGE
from orchestrator.records import Ledger, read_manifest, recorded_sweeps
from orchestrator.storage import opened
from trainables import catalog
from trainables.protocols import CAPABILITIES

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.driver import Ran

console = Console()
Facts = dict[str, Any]

VERDICTS = {"better": "green", "worse": "red", "equivalent": "cyan", "undecided": "yellow"}


# ---- gathered ---------------------------------------------------------------------------------


def listing(kind: str) -> list[Facts]:
    """One line of facts for everything of a kind."""
    if kind == "sweeps":
        from orchestrator.sweep import find_sweep, sweep_names

        sweeps = [find_sweep(name) for name in sweep_names()]
        return [{"name": s.name, "task": s.task, "summary": s.title} for s in sweeps]
    if kind == "models":
        return [model_facts(name) for name in catalog.names("models")]
    found = {name: catalog.find(kind, name) for name in catalog.names(kind)}  # type: ignore[arg-type]
    return [{"name": name, "summary": thing.summary} for name, thing in found.items()]


def model_facts(name: str) -> Facts:
    """A model's card, and what it offers."""
    cls, card = catalog.find("models", name.rpartition("+")[2]), catalog.card(name)
    methods = {c.__name__: [m for m in vars(c) if not m.startswith("_")] for c in CAPABILITIES}
    offers = [n for n, names in methods.items() if all(hasattr(cls, m) for m in names)]
    return {
        "name": name,
        "offers": ", ".join(offers),
        "wants": card.wants,
        "weights": weights_of(name, cls),
        "summary": card.summary,
        "version": catalog.version(name),
        "extra": card.extra or "",
        "packages": ", ".join(card.packages),
        "licence": card.licence,
        "citation": card.citation,
    }


BRIEF = ("name", "offers", "wants", "weights", "summary", "task")
"""What a listing says of each; `--json` and `show` say the rest."""


def brief(entries: list[Facts]) -> list[Facts]:
    """The columns of a listing that fit a terminal."""
    return [{key: facts[key] for key in BRIEF if key in facts} for facts in entries]


def weights_of(name: str, cls: Any) -> str:
    """The published weights that a model can start from, and which of them are here; likewise the
    checkout that it runs from."""
    from orchestrator.models_cli import published

    absent = {v: bool(published(name, v).missing()) for v in getattr(cls, "published", {})}
    if hasattr(cls, "home"):
        absent["checkout"] = bool(cls.home.missing())
    return ", ".join(f"{v} ({'absent' if lacking else 'here'})" for v, lacking in absent.items())


def everything(name: str, storage: str | Path) -> dict[str, Facts]:
    """All that is known under a name, by what kind of thing it is.

    Raises LookupError when nothing has that name.
    """
    from orchestrator.planning import plan
    from orchestrator.sweep import sweep_names

    found: dict[str, Facts] = {}
    if all(part in catalog.names("models") for part in name.split("+")):
        cls = catalog.find("models", name.rpartition("+")[2])
        card = catalog.card(name)
        found["model"] = model_facts(name) | {
            "hyperparameters": {f: default(cls, f) for f in catalog.fields(cls)},
            "cpus": card.cpus,
            "gpus": card.gpus,
            "about": cls.__doc__,
        }
    if name in catalog.names("tasks"):
        cls = catalog.find("tasks", name)
        parameters = {f: default(cls, f) for f in catalog.fields(cls)}
        needs, headline = cls.needs.__name__, cls.headline
        found["task"] = {"summary": cls.summary, "needs": needs, "headline": headline}
        found["task"] |= {"version": cls.version, "parameters": parameters, "about": cls.__doc__}
    if name in catalog.names("datasets"):
        source = catalog.dataset(name)
        keys = ("summary", "citation", "licence", "__doc__")
        facts = {k.replace("__doc__", "about"): getattr(source, k, "") for k in keys}
        more = ("values", "label_key", "batch_key", "split", "unknown")
        told = {k: value for k in more if (value := getattr(source, k, None))}
        facts |= {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}
        found["data set"] = {**facts, "sha256": identity(source)}
    if name in sweep_names():
        found["sweep"] = plan(name, storage).summary()
    if not found and (record := Ledger(opened(storage)).last(name)) is not None:
        found["trial"] = record
    if not found:
        every = [n for kind in ("models", "tasks", "datasets") for n in catalog.names(kind)]
        raise LookupError(
            catalog.unknown("model, task, data set, sweep or trial", name, every + sweep_names())
        )
    return found


def identity(source: Any) -> str:
    """A data set's sha256, or why it is not known yet."""
    try:
        return source.sha256
    except LookupError as error:
        return str(error)


def default(cls: Any, field: str) -> Any:
    """A field's default, or "required"."""
    value = getattr(cls, field, "required")
    return list(value) if isinstance(value, tuple) else value


def statuses(storage: Path, sweep: str | None) -> list[Facts]:
    """For each sweep, how many trials are planned and how they stand."""
    found = []
    for name in [sweep] if sweep else recorded_sweeps(storage):
        trials = read_manifest(storage, name)["trials"]
        counts = Counter(record["status"] for record in Ledger(storage).current(trials))
        missing = len(trials) - sum(counts.values())
        found.append({"sweep": name, "planned": len(trials), **counts, "missing": missing})
    return found


def failures(storage: Path, sweep: str | None) -> list[Facts]:
    """Trials that did not succeed, grouped by outcome and reason, the largest group first."""
    groups: dict[tuple[str, str, str], list[Facts]] = {}
    for name in [sweep] if sweep else recorded_sweeps(storage):
        for record in Ledger(storage).current(read_manifest(storage, name)["trials"]):
            if record["status"] != "ok":
                key = name, record["status"], record["reason"]
                groups.setdefault(key, []).append(record)
    found = [
        {
            "sweep": name,
            "status": status,
            "reason": reason,
            "trials": len(records),
            "models": sorted({record["trial"]["model"] for record in records}),
            "example": records[0]["trial_id"],
            "trace": records[0]["trace"],
        }
        for (name, status, reason), records in groups.items()
    ]
    return sorted(found, key=lambda group: -group["trials"])


# ---- drawn ------------------------------------------------------------------------------------


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
        "fractions": ", ".join(f"{fraction:g}" for fraction in summary["fractions"]),
        "seeds": len(summary["seeds"]),
        "resources": "; ".join(
            f"{model}: {', '.join(f'{n:g} {what}' for what, n in needs.items())}"
            for model, needs in summary["resources"].items()
        ),
        "estimate": f"{cost} ({estimate['basis']})",
    }
    if search := summary.get("search"):
        drawn["search"] = f"{search['settings']} of {search['of']} settings so far, {search['by']}"
    if apart := summary.get("environments"):
        told = (f"{model} has its own, with {', '.join(some)}" for model, some in apart.items())
        drawn["environments"] = "; ".join(told)
    facts(f"{summary['sweep']}: {summary['title']}", drawn)


def result_rows(rows: pd.DataFrame) -> None:
    """The tidy table in a terminal: what is the same in every row is said once, above."""
    shown = "sweep model dataset fraction seed metric value status trial_id".split()
    same = [c for c in shown[:6] if rows[c].nunique(dropna=False) == 1 and len(rows) > 1]
    columns = [c for c in shown if c not in same]
    constants = {c: rows[c].iloc[0] for c in same}
    told = [f"{c} {v:g}" if c in ("fraction", "seed") else str(v) for c, v in constants.items()]
    title = ", ".join([f"{len(rows)} rows", *told])
    table(title, [dict(zip(columns, row, strict=True)) for row in rows[columns].to_numpy()])


CORRECTED = {"holm": "p (Holm)", "benjamini-hochberg": "p (B-H)", "none": "p (as it is)"}


def comparison(rows: pd.DataFrame, correction: str = "holm") -> None:
    """Rows of `analysis.compare`, a table a pair of models and data set, with verdicts.

    Where no test gave a p-value, the reason is told below; a Bayesian test has chances instead.
    """
    metrics, tests = ", ".join(sorted(set(rows["metric"]))), ", ".join(sorted(set(rows["test"])))
    seeds = ", ".join(str(n) for n in sorted(set(rows["n"])))
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
        for row in block.to_dict("records"):
            style = VERDICTS[row["verdict"]]
            drawn.add_row(
                f"{row['fraction']:.0%}",
                number(row["difference"], "+.3f"),
                interval(row["ci_low"], row["ci_high"]),
                *(number(row[column], ".2g") for column in columns),
                f"[{style}]{row['verdict']}[/{style}]",
            )
        console.print(f"[bold]{escape(about)}[/bold]", drawn, sep="\n")
        untold = block[block["p"].isna() & (block["test"] != "bayes")]
        for reason in untold["note"].unique():
            console.print(escape(f"not tested: {reason}"), style="dim", highlight=False)


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


def ending(
    ran: Ran, rows: pd.DataFrame | None, page: Path | None, storage: str, tracking_uri: str | None
) -> None:
    """What a run ends with, and where to go on."""
    if rows is not None and len(rows):
        comparison(rows)
    counts = ", ".join(f"{n} {status}" for status, n in sorted(ran.statuses.items()))
    console.print(
        f"\n[bold]{ran.sweep}[/bold]: {ran.ran} trials run in {ran.seconds:.0f} s;"
        f" of {ran.planned} planned {counts or 'none has run'}",
        highlight=False,
    )
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
