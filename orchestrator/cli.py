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
from orchestrator.findings_cli import register as register_findings_commands
from orchestrator.models_cli import app as models_app
from orchestrator.options import (
    BAD_INPUT,
    CHECK_FAILED,
    DEFAULT_STORAGE,
    FAILED,
    INTERRUPTED,
    AsJson,
    BatchKey,
    Changes,
    Data,
    LabelKey,
    Labels,
    MaxSeeds,
    MinCells,
    Storage,
    TimeLimit,
    TrackingUri,
    UntilDecided,
    parsed,
    print_json,
    refuse_half,
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


class Kind(StrEnum):
    models = "models"
    tasks = "tasks"
    datasets = "datasets"
    sweeps = "sweeps"


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
    until: UntilDecided = None,
    max_seeds: MaxSeeds = None,
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

    refuse_half(until, max_seeds)
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
register_findings_commands(app)


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
