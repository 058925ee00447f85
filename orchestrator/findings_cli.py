"""`gauntlet results`, `compare`, `report`, `reproduce` and `failures`: what was found."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.options import (
    BAD_INPUT,
    CHECK_FAILED,
    DEFAULT_STORAGE,
    AsJson,
    MaybeRecorded,
    Storage,
    TrackingUri,
    print_json,
)


class Format(StrEnum):
    table = "table"
    csv = "csv"
    parquet = "parquet"
    json = "json"
    latex = "latex"


class Printed(StrEnum):
    table = "table"
    csv = "csv"
    latex = "latex"


class Source(StrEnum):
    records = "records"
    mlflow = "mlflow"


class Test(StrEnum):
    auto = "auto"
    paired = "paired"
    welch = "welch"
    student = "student"
    wilcoxon = "wilcoxon"
    corrected_welch = "corrected-welch"
    permutation = "permutation"
    nadeau_bengio = "nadeau-bengio"
    seeds_and_cells = "seeds-and-cells"
    bayes = "bayes"
    mcnemar = "mcnemar"


class Correction(StrEnum):
    holm = "holm"
    benjamini_hochberg = "benjamini-hochberg"
    none = "none"


def register(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    for command in (results, compare, report, reproduce, failures):
        app.command()(command)


def results(
    sweep: MaybeRecorded = None,
    where: Annotated[
        str | None, typer.Option(help="An SQL condition: \"model = 'logreg' and fraction < 1\".")
    ] = None,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
    source: Annotated[
        Source, typer.Option(help="Where to read; mlflow needs no storage.")
    ] = Source.records,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Print the tidy table: a row per trial and metric.

    [dim]gauntlet results quickstart --where "metric = 'test/macro_f1'"[/dim]
    [dim]gauntlet results quickstart --format parquet --out quickstart.parquet[/dim]
    """
    from analysis import results as table_of
    from orchestrator import show

    table = table_of(sweep, storage, where, source=source.value, tracking_uri=tracking_uri)
    if format is Format.table and out is None:
        show.result_rows(table)
    elif format is Format.parquet:
        if out is None:
            raise ValueError("parquet is not text; name a file with --out FILE")
        table.to_parquet(out, index=False)
    else:
        text = as_text(table, format)
        typer.echo(text) if out is None else out.write_text(text)
    for name in [sweep] if sweep else sorted(table["sweep"].unique()):
        refuse_damaged(name, storage, source.value, tracking_uri)


def as_text(table: Any, format: Format) -> str:
    """The tidy table as LaTeX, JSON or CSV."""
    if format is Format.latex:
        from analysis.export import results_latex

        return results_latex(table)
    if format is Format.json:
        return table.to_json(orient="records", indent=1)
    return table.to_csv(index=False)


def compare(
    a: Annotated[str, typer.Argument(help="A model, or an arm, of the sweep.")],
    b: Annotated[str, typer.Argument(help="The one that it is compared with.")],
    sweep: Annotated[
        str | None, typer.Option(help="Whose trials.", show_default="the last one run")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Which score.", show_default="the task's headline")
    ] = None,
    test: Annotated[Test, typer.Option(help="Which test; auto says why.")] = Test.auto,
    margin: Annotated[
        float | None, typer.Option(help="Differences inside +- this count as none.")
    ] = None,
    format: Annotated[Printed, typer.Option(help="How to print.")] = Printed.table,
    correction: Annotated[
        Correction, typer.Option(help="For asking more than one question.")
    ] = Correction.holm,
    multiverse: Annotated[
        bool, typer.Option("--multiverse", help="Would another way of asking change the verdict?")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Is model A better than model B, and am I sure?

    [dim]gauntlet compare logreg pca+probe --metric test/accuracy[/dim]
    """
    from analysis.conclusion import CannotCompare, compared, in_many_ways

    if multiverse:
        if (test, correction) != (Test.auto, Correction.holm):
            raise ValueError("--multiverse tries every test and correction: leave them out")
        found = in_many_ways(
            *(storage, sweep), a=a, b=b, dataset=dataset, metric=metric, margin=margin
        )
        return show_ways(found, format, as_json)
    try:
        rows = compared(
            *(storage, sweep),
            a=a,
            b=b,
            dataset=dataset,
            metric=metric,
            test=test.value,
            margin=margin,
            correction=correction.value,
        )
    except CannotCompare as reason:
        typer.secho(f"gauntlet: {reason}", fg="red", err=True)
        raise typer.Exit(CHECK_FAILED) from None
    if format is Printed.csv:
        typer.echo(rows.to_csv(index=False))
    elif format is Printed.latex:
        from analysis.export import comparison_latex

        typer.echo(comparison_latex(rows))
    else:
        show_comparison(rows, as_json, correction.value)
    faults = [fault for fault in rows["fault"] if fault]
    for fault in faults:
        typer.secho(f"gauntlet: {a} against {b}: {fault}", fg="red", err=True)
    refuse_damaged(sweep, storage)
    if faults or not rows["n"].any():
        raise typer.Exit(CHECK_FAILED)


def refuse_damaged(
    sweep: str | None, storage: str, source: str = "records", tracking_uri: str | None = None
) -> None:
    """Exit with 2 where a file of a trial cannot be read, after a sentence on each.

    Whatever could be read of other trials is printed before.
    """
    from analysis.results import DAMAGED, planned
    from analysis.results import results as table_of
    from orchestrator.damage import MET

    name = planned(storage, sweep)["sweep"] if sweep is None and source == "records" else sweep
    table = table_of(
        name, storage, f"status = '{DAMAGED}'", source=source, tracking_uri=tracking_uri
    )
    for trial, reason in table.drop_duplicates("trial_id")[["trial_id", "reason"]].to_numpy():
        typer.secho(f"gauntlet: trial {trial} is left out: {reason}", fg="red", err=True)
    if len(table) or MET:
        MET.clear()
        raise typer.Exit(BAD_INPUT)


def report(
    sweep: Annotated[
        str | None,
        typer.Argument(help="A sweep that was run.", show_default="the last one run"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write it.", show_default="STORAGE/reports/SWEEP.html"),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for every figure, as SVG and as PNG.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write the report of a sweep: one HTML file, verdict first.

    [dim]gauntlet report quickstart --figures figures[/dim]
    """
    from analysis.conclusion import write_report

    typer.echo(write_report(storage, sweep, out, figures))
    refuse_damaged(sweep, storage)


def reproduce(
    sweep: Annotated[
        str, typer.Argument(help="A paper's table or figure: a name of `gauntlet list sweeps`.")
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 3 when a cell is a FAIL, or none can be judged."),
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Set what a paper published beside what was run here, cell by cell.

    PASS, WITHIN NOISE, FAIL, or NOT RUN and why. Nothing needs to have been run.

    [dim]gauntlet reproduce boiarsky2023/table2 --check[/dim]
    """
    from analysis.conclusion import reproduced
    from orchestrator import verdicts

    found = reproduced(storage, sweep)
    if as_json:
        tables = {k: json.loads(found[k].to_json(orient="records")) for k in ("cells", "tests")}
        print_json({**found, **tables})
    else:
        verdicts.reproduction(found)
    if check and found["check"] != "passed":
        raise typer.Exit(CHECK_FAILED)


def failures(
    sweep: MaybeRecorded = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Group what went wrong by its reason, with one trace each.

    [dim]gauntlet failures quickstart[/dim]
    """
    from analysis.results import find_storage
    from orchestrator import known, show

    found = known.failures(find_storage(storage), sweep)
    print_json(found) if as_json else show.failure_groups(found)


def show_comparison(rows: Any, as_json: bool, correction: str = "holm") -> None:
    """Rows of `analysis.compare`, for eyes or for programs."""
    from orchestrator import verdicts

    if as_json:
        return print_json(json.loads(rows.to_json(orient="records")))
    verdicts.comparison(rows, correction)


def show_ways(found: Any, format: Printed, as_json: bool) -> None:
    """What `--multiverse` finds: every way as CSV, else how many of them agree."""
    from analysis.multiverse import survival
    from orchestrator import show

    if format is Printed.csv:
        return typer.echo(found.to_csv(index=False))
    if format is Printed.latex:
        raise ValueError("--multiverse prints a table, --format csv or --json")
    if as_json:
        return print_json(json.loads(found.to_json(orient="records")))
    columns = ["dataset", "fraction", "verdict", "n_agree", "n_ways", "otherwise"]
    rows: Any = survival(found)[columns].to_dict("records")
    show.table("does the verdict survive?", rows)
