"""The `gauntlet` command: thin words over `run`, `plan` and the analysis."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

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
    AsJson,
    MaybeRecorded,
    Storage,
    TrackingUri,
    print_json,
)
from orchestrator.running_cli import register as register_running_commands
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
    kind: Annotated[Kind | None, typer.Argument(help="Only these.", show_default="all")] = None,
    as_json: AsJson = False,
) -> None:
    """Name the models, tasks, data sets and sweeps there are.

    [dim]gauntlet list models[/dim]
    """
    from orchestrator import known, show

    found = {k: known.listing(k) for k in ([kind.value] if kind else [k.value for k in Kind])}
    if as_json:
        return print_json(found)
    for name, entries in found.items():
        show.table(name, known.brief(entries))


@app.command("show")
def show_(
    name: Annotated[str, typer.Argument(help="As `gauntlet list` has it, or a trial's id.")],
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Say all that is known of a model, task, data set, sweep or trial.

    [dim]gauntlet show pca+probe[/dim]
    """
    from orchestrator import known, show

    found = known.everything(name, storage)
    if as_json:
        return print_json(found)
    for what, facts in found.items():
        differences = facts.pop("differences", [])
        if isinstance(weights := facts.get("weights"), dict):  # of the arms of a sweep
            facts["weights"] = "; ".join(f"{arm}: {one['words']}" for arm, one in weights.items())
        show.facts(f"{name} ({what})", facts)
        show.differences(differences)


register_running_commands(app)
register_cluster_commands(app)
register_findings_commands(app)


@app.command()
def profile(
    trial: Annotated[str, typer.Argument(help="A recorded trial's id, or how it begins.")],
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
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
    sweep: MaybeRecorded = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Send to MLflow what it has not got yet; as often as you like."""
    from analysis.results import find_storage
    from orchestrator.manifests import recorded_sweeps
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
    from orchestrator.tracking import Syncer, default_uri

    place = find_storage(storage)
    Syncer(place, "").client()  # in a storage that was moved, this finds its artifacts again
    where = default_uri(place)
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
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        if os.environ.get("GAUNTLET_DEBUG"):
            raise
        typer.secho(f"gauntlet: cannot use {error.filename}: {error.strerror}", fg="red", err=True)
        sys.exit(BAD_INPUT)
    except CannotWrite as error:
        if os.environ.get("GAUNTLET_DEBUG"):
            raise
        typer.secho(f"gauntlet: {error}", fg="red", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
