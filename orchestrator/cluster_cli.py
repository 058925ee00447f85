"""`gauntlet submit`, `logs`, `cancel` and `status`: sweeps that run on a cluster, from a laptop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.options import (
    DEFAULT_STORAGE,
    AsJson,
    BatchKey,
    CellsName,
    Changes,
    CountsLayer,
    Data,
    LabelKey,
    Labels,
    LibrarySize,
    MaxSeeds,
    MinCells,
    Storage,
    SweepName,
    TimeLimit,
    Transpose,
    UntilDecided,
    ValuesOption,
    parsed,
    print_json,
    refuse_half,
)

if TYPE_CHECKING:
    from orchestrator.cluster import Jobs

Address = Annotated[
    str,
    typer.Option(
        help="The cluster's dashboard, http://HEAD:8265; through a tunnel, http://127.0.0.1:8265.",
        envvar="GAUNTLET_ADDRESS",
    ),
]
MaybeAddress = Annotated[
    str | None,
    typer.Option(help="Ask this cluster for its jobs: http://HEAD:8265.", show_default=False),
]
Name = Annotated[str, typer.Argument(help="A job, or a sweep for its newest job.")]
JOB_FAILED = 1
EVERY = 2.0
"""Seconds between two looks of `--watch`."""


def register(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    for command in (submit, status, logs, cancel):
        app.command()(command)


def submit(
    sweep: SweepName,
    address: Address,
    changes: Changes = None,
    data: Data = None,
    label_key: LabelKey = None,
    batch_key: BatchKey = None,
    labels: Labels = None,
    min_cells: MinCells = 0,
    counts_layer: CountsLayer = None,
    values: ValuesOption = None,
    library_size: LibrarySize = None,
    transpose: Transpose = False,
    name: CellsName = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="A folder that all nodes share, or s3://BUCKET/PREFIX.",
            show_default="the cluster's GAUNTLET_STORAGE",
        ),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow, seen from the head.", show_default="its MLFLOW_TRACKING_URI"),
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(help="Run at most this many trials at once.", min=1)
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run this model's trials only.")] = None,
    time_limit: TimeLimit = None,
    until: UntilDecided = None,
    max_seeds: MaxSeeds = None,
    follow: Annotated[bool, typer.Option(help="Print what it prints until it ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep as a job of a Ray cluster; the laptop may be closed. Submit again to resume.

    [dim]gauntlet submit quickstart seeds=10 --address http://127.0.0.1:8265[/dim]
    [dim]gauntlet submit quickstart --until decided --max-seeds 20 --address ...[/dim]
    """
    from orchestrator.cluster import connect, on_the_cluster

    parsed(changes)  # a word that is no change is told before anything is shipped
    refuse_half(until, max_seeds)
    options = {
        "--data": data and on_the_cluster(data, storage),
        "--labels": labels and on_the_cluster(labels, storage),
        "--label-key": label_key,
        "--batch-key": batch_key,
        "--min-cells": min_cells or None,
        "--counts-layer": counts_layer,
        "--values": values,
        "--library-size": library_size,
        "--name": name,
        "--tracking-uri": tracking_uri,
        "--max-concurrent": max_concurrent,
        "--only": only,
        "--time-limit": time_limit,
        "--until": until and until.value,
        "--max-seeds": max_seeds,
    }
    given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
    given += ["--transpose"] if transpose else []
    if storage and not Path(storage).is_absolute() and not storage.startswith("s3://"):
        raise ValueError(f"--storage {storage} is relative; write the folder's whole path")
    jobs = connect(address)
    job = jobs.submit(sweep, [*(changes or []), *given], storage)
    told = jobs.find(job)
    if as_json:
        print_json(told)
    else:
        typer.echo(f"{job} is submitted, code {told['code_version']}")
        typer.echo(f"follow it: gauntlet logs {job} --follow --address {address}")
    if follow:
        end_as(jobs, job)


def logs(
    name: Name,
    address: Address,
    follow: Annotated[bool, typer.Option(help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job has printed.

    [dim]gauntlet logs quickstart --follow --address http://127.0.0.1:8265[/dim]
    """
    from orchestrator.cluster import connect

    jobs = connect(address)
    end_as(jobs, name) if follow else typer.echo(jobs.logs(name), nl=False)


def end_as(jobs: Jobs, name: str) -> None:
    """Print a job's output to its end, and end as it did."""
    ended = jobs.follow(name, lambda lines: typer.echo(lines, nl=False))
    typer.echo(f"{name}: {ended}", err=True)
    if ended != "SUCCEEDED":
        raise typer.Exit(JOB_FAILED)


def cancel(name: Name, address: Address, as_json: AsJson = False) -> None:
    """Stop a job. What its trials recorded stands; submit the sweep again to go on.

    [dim]gauntlet cancel quickstart --address http://127.0.0.1:8265[/dim]
    """
    from orchestrator.cluster import connect

    job = connect(address).cancel(name)
    print_json(job) if as_json else typer.echo(f"{job['job']}: {job['status']}")


def status(
    sweep: Annotated[
        str | None, typer.Argument(help="A sweep; with --address also a job.", show_default="all")
    ] = None,
    address: MaybeAddress = None,
    watch: Annotated[bool, typer.Option(help="Look again until all has ended.")] = False,
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Count the trials of one sweep, or of all, by outcome; with --address, the cluster's jobs.

    [dim]gauntlet status quickstart --watch[/dim]
    """
    from orchestrator import show

    before = None
    while True:
        found, over = jobs_now(address, sweep) if address else trials_now(storage, sweep)
        if found != before:
            print_json(found) if as_json else show.table("jobs" if address else "sweeps", found)
        if over or not watch:
            return
        before = found
        time.sleep(EVERY)


def trials_now(storage: str, sweep: str | None) -> tuple[list[dict[str, Any]], bool]:
    """How the sweeps of a storage stand, and whether no trial is left."""
    from analysis.results import find_storage
    from orchestrator.known import statuses

    found = statuses(find_storage(storage), sweep)
    return found, not any(row["missing"] for row in found)


def jobs_now(address: str, name: str | None) -> tuple[list[dict[str, Any]], bool]:
    """The jobs of a cluster, or one, and whether all have ended."""
    from orchestrator.cluster import ENDED, connect

    jobs = connect(address)
    found = [jobs.find(name)] if name else jobs.all()
    return found, all(job["status"] in ENDED for job in found)
