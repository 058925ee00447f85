"""`gauntlet plan`, `run` and `retry`: what a sweep would do, doing it, and what that ends with."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.options import (
    CHECK_FAILED,
    DEFAULT_STORAGE,
    FAILED,
    INTERRUPTED,
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
    RayAddress,
    Recorded,
    Storage,
    SweepName,
    TimeLimit,
    TrackingUri,
    Transpose,
    UntilDecided,
    ValuesOption,
    parsed,
    print_json,
    refuse_half,
)


def register(app: typer.Typer) -> None:
    """Add these commands to the main one."""
    for command in (plan, run, retry):
        app.command()(command)


def plan(
    sweep: SweepName,
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
    storage: Storage = DEFAULT_STORAGE,
    as_json: AsJson = False,
) -> None:
    """Say what a sweep would run, what is known already, and what the rest may cost.

    [dim]gauntlet plan quickstart seeds=10[/dim]
    """
    from orchestrator import show
    from orchestrator.planning import plan as make_plan

    options = (label_key, batch_key, min_cells, labels, counts_layer, values, library_size)
    chosen = own_cells(sweep, data, storage, name, *options, transpose)
    summary = make_plan(chosen, storage, **parsed(changes)).summary()
    if as_json:
        return print_json(summary)
    show.plan_summary(summary)


def run(
    sweep: SweepName,
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
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    address: RayAddress = None,
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
        options = (label_key, batch_key, min_cells, labels, counts_layer, values, library_size)
        chosen = own_cells(sweep, data, storage, name, *options, transpose)
        ran = run_sweep(
            chosen,
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


def retry(
    sweep: Recorded,
    only: Annotated[
        str | None, typer.Option(help="Only this outcome: failed, out_of_memory, timeout.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: TrackingUri = None,
    address: RayAddress = None,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Run those trials of a sweep again that failed, as the sweep runs them.

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


def own_cells(sweep: str, data: Path | None, storage: str, name: str | None, *options: Any) -> Any:
    """The sweep, or the same sweep on the user's own cells under a name of its own.

    `options` are the fields of `UserFile` after its path, in their order.
    """
    from orchestrator.known_sweeps import find_sweep
    from orchestrator.own_names import on_own_cells
    from trainables.userdata import UserFile

    chosen = find_sweep(sweep)
    if data is None:
        if any(options) or name:
            raise ValueError(
                "--label-key, --batch-key, --min-cells, --labels, --counts-layer, --values,"
                " --library-size, --transpose and --name describe --data FILE"
            )
        return chosen
    return on_own_cells(chosen, UserFile(data, *options, title=name or ""), storage)


def standard_output_for_json(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """Ray prints news of lost workers; where a program reads our output, they go to stderr."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def conclude(ran: Any, storage: str, tracking_uri: str | None, as_json: bool) -> None:
    """What a run ends with: models without a score, the comparison, the report, the exit code.

    The code is 1 where a trial failed, and where a model of the sweep has no score at all.
    """
    from dataclasses import asdict

    from analysis.conclusion import preregistered_or_why, without_score, write_report
    from orchestrator import show, verdicts

    rows, reasons = None, []
    missing = without_score(storage, ran.sweep) if ran.statuses else []
    if ran.statuses.get("ok"):
        rows, reasons = preregistered_or_why(storage, ran.sweep)
    page = write_report(storage, ran.sweep, None) if ran.statuses else None
    if as_json:
        table = [] if rows is None else json.loads(rows.to_json(orient="records"))
        found = {"comparison": table, "not_compared": reasons, "report": page and str(page)}
        print_json({**asdict(ran), "unscored": [asdict(one) for one in missing], **found})
    else:
        show.unscored([str(one) for one in missing])
        if rows is not None and len(rows):
            verdicts.comparison(rows)
        verdicts.not_compared(reasons)
        if ran.statuses:
            show.choices(declared_differences(storage, ran.sweep))
        show.ending(ran, page, storage, tracking_uri)
    if ran.interrupted:
        raise typer.Exit(INTERRUPTED)
    if ran.failed or any(not one.dataset for one in missing):
        raise typer.Exit(FAILED)
    if reasons:
        raise typer.Exit(CHECK_FAILED)


def declared_differences(storage: str, sweep: str) -> list[dict[str, str]]:
    """What a sweep that ran declares not to be as in its paper."""
    from orchestrator.manifests import read_manifest
    from orchestrator.storage import opened

    return read_manifest(opened(storage), sweep).get("differences", [])
