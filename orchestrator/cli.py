"""The `gauntlet` command: thin words over `run`, `plan` and the analysis."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.bucket import OutOfReach
from orchestrator.cluster_cli import register as register_cluster_commands
from orchestrator.data_cli import app as data_app
from orchestrator.models_cli import app as models_app
from orchestrator.options import (
    DEFAULT_STORAGE,
    AsJson,
    BatchKey,
    Changes,
    Data,
    LabelKey,
    Labels,
    MinCells,
    Storage,
    TimeLimit,
    TrackingUri,
    parsed,
    print_json,
)
from orchestrator.trouble import CannotWrite, in_words

app = typer.Typer(
    help="Does this foundation model beat logistic regression on my cells, and am I sure?",
    epilog="Start with: gauntlet run quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

FAILED, BAD_INPUT, CHECK_FAILED, INTERRUPTED = 1, 2, 3, 130


class Kind(StrEnum):
    models = "models"
    tasks = "tasks"
    datasets = "datasets"
    sweeps = "sweeps"


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


class Until(StrEnum):
    decided = "decided"


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


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(show_default=False)] = None, as_json: AsJson = False
) -> None:
    """Name the models, tasks, data sets and sweeps there are.

    [dim]gauntlet list models[/dim]
    """
    from orchestrator import show

    found = {k: show.listing(k) for k in ([kind.value] if kind else [k.value for k in Kind])}
    if as_json:
        return print_json(found)
    for name, entries in found.items():
        show.table(name, show.brief(entries))


@app.command("show")
def show_(name: str, storage: Storage = DEFAULT_STORAGE, as_json: AsJson = False) -> None:
    """Say all that is known of a model, task, data set, sweep or trial.

    [dim]gauntlet show pca+probe[/dim]
    """
    from orchestrator import show

    found = show.everything(name, storage)
    if as_json:
        return print_json(found)
    for what, facts in found.items():
        show.facts(f"{name} ({what})", facts)


@app.command()
def plan(
    sweep: str,
    changes: Changes = None,
    data: Data = None,
    label_key: LabelKey = None,
    batch_key: BatchKey = None,
    labels: Labels = None,
    min_cells: MinCells = 0,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Say what a sweep would run, what is known already, and what the rest may cost.

    [dim]gauntlet plan quickstart seeds=10[/dim]
    """
    from orchestrator import show
    from orchestrator.planning import plan as make_plan

    chosen = own_cells(sweep, data, label_key, batch_key, min_cells, labels)
    summary = make_plan(chosen, storage, **parsed(changes)).summary()
    if as_json:
        return print_json(summary)
    show.plan_summary(summary)


@app.command()
def run(
    sweep: str,
    changes: Changes = None,
    data: Data = None,
    label_key: LabelKey = None,
    batch_key: BatchKey = None,
    labels: Labels = None,
    min_cells: MinCells = 0,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster [default: Ray on this machine].")
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(help="Run at most this many trials at once.", min=1)
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run this model's trials only.")] = None,
    time_limit: TimeLimit = None,
    until: Annotated[
        Until | None, typer.Option(help="Add seeds where a planned comparison is undecided.")
    ] = None,
    max_seeds: Annotated[
        int | None, typer.Option(help="With --until decided: up to so many seeds.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run what a sweep still lacks, then compare and report. Run it again to resume.

    [dim]gauntlet run quickstart[/dim]
    [dim]gauntlet run quickstart --until decided --max-seeds 20[/dim]
    [dim]gauntlet run quickstart --data mine.h5ad --label-key celltype --batch-key donor[/dim]
    """
    from orchestrator.driver import Silent
    from orchestrator.driver import run as run_sweep
    from orchestrator.progress import Progress

    if (until is None) != (max_seeds is None):
        raise ValueError("--until decided and --max-seeds N go together: until when, and how far")
    limit = {} if max_seeds is None else {"max_seeds": max_seeds}
    with standard_output_for_json(as_json):
        ran = run_sweep(
            own_cells(sweep, data, label_key, batch_key, min_cells, labels),
            storage,
            tracking_uri=tracking_uri,
            address=address,
            max_concurrent=max_concurrent,
            only=only,
            time_limit=time_limit,
            display=Silent() if as_json else Progress(),
            **parsed(changes) | limit,
        )
    conclude(ran, storage, tracking_uri, as_json)


@app.command()
def retry(
    sweep: str,
    only: Annotated[
        str | None, typer.Option(help="Only this outcome: failed, out_of_memory, timeout.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    address: Annotated[str | None, typer.Option(help="A running Ray cluster.")] = None,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Run the trials of a recorded sweep again that failed.

    [dim]gauntlet retry quickstart --only out_of_memory[/dim]
    """
    from orchestrator.driver import Silent
    from orchestrator.driver import retry as retry_sweep
    from orchestrator.progress import Progress

    with standard_output_for_json(as_json):
        ran = retry_sweep(
            sweep,
            storage,
            only=only,
            tracking_uri=tracking_uri,
            address=address,
            time_limit=time_limit,
            display=Silent() if as_json else Progress(),
        )
    conclude(ran, storage, tracking_uri, as_json)


register_cluster_commands(app)


@app.command()
def results(
    sweep: Annotated[str | None, typer.Argument(show_default=False)] = None,
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
        return show.result_rows(table)
    if format is Format.parquet:
        if out is None:
            raise ValueError("parquet is not text; name a file with --out FILE")
        return table.to_parquet(out, index=False)
    if format is Format.latex:
        from analysis.export import results_latex

        text = results_latex(table)
    elif format is Format.json:
        text = table.to_json(orient="records", indent=1)
    else:
        text = table.to_csv(index=False)
    typer.echo(text) if out is None else out.write_text(text)


@app.command()
def compare(
    a: str,
    b: str,
    sweep: Annotated[str | None, typer.Option(help="[default: the last one run]")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    metric: Annotated[str | None, typer.Option(help="[default: the task's headline]")] = None,
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
    from analysis.conclusion import compared, in_many_ways

    if multiverse:
        if (test, correction) != (Test.auto, Correction.holm):
            raise ValueError("--multiverse tries every test and correction: leave them out")
        found = in_many_ways(
            *(storage, sweep), a=a, b=b, dataset=dataset, metric=metric, margin=margin
        )
        return show_ways(found, format, as_json)
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
    if format is Printed.csv:
        return typer.echo(rows.to_csv(index=False))
    if format is Printed.latex:
        from analysis.export import comparison_latex

        return typer.echo(comparison_latex(rows))
    show_comparison(rows, as_json, correction.value)


@app.command()
def report(
    sweep: Annotated[str | None, typer.Argument(show_default="the last one run")] = None,
    out: Annotated[Path | None, typer.Option(help="[default: STORAGE/reports/SWEEP.html]")] = None,
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


@app.command()
def reproduce(
    sweep: str,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 when a cell is a FAIL.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Set what a paper published beside what was run here, cell by cell.

    PASS, WITHIN NOISE, FAIL, or NOT RUN and why. Nothing needs to have been run.

    [dim]gauntlet reproduce boiarsky2023/table2 --check[/dim]
    """
    from analysis.conclusion import reproduced
    from orchestrator import show

    found = reproduced(storage, sweep)
    if as_json:
        tables = {k: json.loads(found[k].to_json(orient="records")) for k in ("cells", "tests")}
        print_json({**found, **tables})
    else:
        show.reproduction(found)
    if check and (found["cells"]["verdict"] == "FAIL").any():
        raise typer.Exit(CHECK_FAILED)


@app.command()
def failures(
    sweep: Annotated[str | None, typer.Argument(show_default="all")] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Group what went wrong by its reason, with one trace each."""
    from analysis.results import find_storage
    from orchestrator import show

    found = show.failures(find_storage(storage), sweep)
    print_json(found) if as_json else show.failure_groups(found)


@app.command()
def profile(trial: str, storage: Storage = DEFAULT_STORAGE, as_json: AsJson = False) -> None:
    """Run a trial once more, for no record, and say where its time goes.

    [dim]gauntlet profile 3f2a[/dim]
    """
    from analysis.results import find_storage
    from orchestrator import show
    from orchestrator.profiling import profile as profiled

    found = profiled(trial, find_storage(storage))
    if as_json:
        print_json(found)
    else:
        show.table(
            f"{found['model']}, {found['seconds']:.2f} s, {found['status']}", found["phases"]
        )
        show.table("functions", found["functions"])
    if found["status"] != "ok":
        raise typer.Exit(FAILED)


@app.command()
def sync(
    sweep: Annotated[str | None, typer.Argument(show_default="all")] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Send to MLflow what it has not got yet; as often as you like."""
    from analysis.results import find_storage
    from orchestrator.records import recorded_sweeps
    from orchestrator.tracking import sync_all

    place = find_storage(storage)
    names = [sweep] if sweep else recorded_sweeps(place)
    for name, count in sync_all(place, names, tracking_uri).items():
        typer.echo(f"{name}: {count} trials mirrored")


@app.command()
def ui(
    storage: Storage = DEFAULT_STORAGE,
    port: Annotated[int, typer.Option(help="Where to listen on this machine.")] = 5000,
) -> None:
    """Open MLflow on this storage, for this machine only, until Ctrl-C."""
    from analysis.results import find_storage
    from orchestrator.tracking import default_uri

    where = default_uri(find_storage(storage))
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight idle processes
    typer.echo(f"MLflow: http://127.0.0.1:{port} (Ctrl-C stops it)")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", where]
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port)])


@app.command()
def doctor(
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    address: Annotated[
        str | None,
        typer.Option(help="Can this cluster be used? http://HEAD:8265, or as run takes it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that this machine can run sweeps, and say what to do where it cannot.

    [dim]gauntlet doctor --address http://127.0.0.1:8265 --tracking-uri http://127.0.0.1:5000[/dim]
    """
    from orchestrator import doctor as checks
    from orchestrator import show

    found = checks.examine(storage, tracking_uri, address)
    print_json(found) if as_json else show.table("doctor", found)
    if not all(check["ok"] for check in found):
        raise typer.Exit(CHECK_FAILED)


def own_cells(
    sweep: str,
    data: Path | None,
    label_key: str | None,
    batch_key: str | None,
    min_cells: int,
    labels: Path | None,
) -> Any:
    """The sweep, or the same sweep on the user's own cells under a name of its own."""
    from orchestrator.records import slug
    from orchestrator.sweep import find_sweep
    from trainables.userdata import UserFile

    chosen = find_sweep(sweep)
    if data is None:
        if label_key or batch_key or min_cells or labels:
            raise ValueError(
                "--label-key, --batch-key, --min-cells and --labels describe --data FILE"
            )
        return chosen
    cells: Any = UserFile(data, label_key, batch_key, min_cells, labels)
    return chosen.on(cells, name=f"{chosen.name}-{slug(cells.name)}")


def standard_output_for_json(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """Ray prints news of lost workers; where a program reads our output, they go to stderr."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def conclude(ran: Any, storage: str, tracking_uri: str | None, as_json: bool) -> None:
    """What a run ends with: the comparison, the report, what to do next, the exit code."""
    from dataclasses import asdict

    from analysis.conclusion import preregistered, write_report
    from orchestrator import show

    rows = preregistered(storage, ran.sweep) if ran.statuses.get("ok") else None
    page = write_report(storage, ran.sweep, None) if rows is not None else None
    if as_json:
        table = [] if rows is None else json.loads(rows.to_json(orient="records"))
        print_json({**asdict(ran), "comparison": table, "report": page and str(page)})
    else:
        show.ending(ran, rows, page, storage, tracking_uri)
    if ran.interrupted:
        raise typer.Exit(INTERRUPTED)
    if ran.failed:
        raise typer.Exit(FAILED)


def show_comparison(rows: Any, as_json: bool, correction: str = "holm") -> None:
    """Rows of `analysis.compare`, for eyes or for programs."""
    from orchestrator import show

    if as_json:
        return print_json(json.loads(rows.to_json(orient="records")))
    show.comparison(rows, correction)


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


def main() -> None:
    """Run the command; input that cannot be used ends in one sentence and exit code 2, storage that
    cannot be written in one and exit code 1.

    With GAUNTLET_DEBUG=1 the sentence comes with its trace.
    """
    try:
        with in_words(Path("a file")):
            app()
    except (LookupError, ValueError, FileNotFoundError, OutOfReach) as error:
        # subclasses such as KeyError are our own mistakes, and deserve their trace
        ours = type(error) in (LookupError, ValueError, FileNotFoundError, OutOfReach)
        if not ours or os.environ.get("GAUNTLET_DEBUG"):
            raise
        typer.secho(f"gauntlet: {error}", fg="red", err=True)
        sys.exit(BAD_INPUT)
    except CannotWrite as error:
        if os.environ.get("GAUNTLET_DEBUG"):
            raise
        typer.secho(f"gauntlet: {error}", fg="red", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
