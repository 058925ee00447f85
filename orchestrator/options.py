"""Options that several commands take, and how their words are read."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

SweepName = Annotated[
    str,
    typer.Argument(help="A sweep: a name of `gauntlet list sweeps`, or a file with SWEEP = ..."),
]
Recorded = Annotated[str, typer.Argument(help="A sweep that was run on this storage.")]
MaybeRecorded = Annotated[
    str | None,
    typer.Argument(help="A sweep that was run on this storage.", show_default="all"),
]
Storage = Annotated[
    str,
    typer.Option(
        help="Where records and artifacts live: a folder, or s3://BUCKET/PREFIX.",
        metavar="PATH",
        envvar="GAUNTLET_STORAGE",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Changes to the sweep: seeds=10, fractions=[0.1,1], logreg.C=0.1, task.test=0.3,"
        " scale=small",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Your own cells instead of the sweep's data sets: .h5ad, .zarr, 10x .h5 or folder,"
        " .loom, .csv, .tsv, .parquet."
    ),
]
LabelKey = Annotated[
    str | None,
    typer.Option(help="Column of obs with the cell types.", show_default="cell_type or the like"),
]
BatchKey = Annotated[
    str | None,
    typer.Option(
        help="Column of obs with the batches.", show_default="batch or the like, if there"
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="A .csv or .tsv of labels: names of cells first, columns join obs."),
]
CountsLayer = Annotated[
    str | None,
    typer.Option(
        help="Where counts are: the name of a layer, raw (.raw) or X.", show_default="found"
    ),
]
ValuesOption = Annotated[
    str | None,
    typer.Option(
        "--values",
        help="Kind of values that cannot be recognised: counts, lognorm (ln of 1 + counts per"
        " 10,000) or linear (scaled, not logged).",
        show_default="found",
    ),
]
LibrarySize = Annotated[
    str | None,
    typer.Option(
        help="Column of obs with the total counts of each cell.", show_default="sum of its counts"
    ),
]
Transpose = Annotated[
    bool, typer.Option("--transpose", help="The table has a row per gene; turn it.")
]
CellsName = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="A name for your cells, in the sweep's name and in reports.",
        show_default="the file's",
    ),
]
MinCells = Annotated[int, typer.Option(help="Leave out cell types with fewer cells.", min=0)]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="An MLflow server.",
        envvar="MLFLOW_TRACKING_URI",
        show_default="SQLite in the storage",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(help="A running Ray cluster.", show_default="Ray on this machine"),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(help="End a trial that takes longer than this many seconds, as timeout.", min=1),
]


class Until(StrEnum):
    decided = "decided"


UntilDecided = Annotated[
    Until | None, typer.Option(help="Add seeds where a planned comparison is undecided.")
]
MaxSeeds = Annotated[
    int | None, typer.Option(help="With --until decided: up to so many seeds.", min=1)
]
DEFAULT_STORAGE = "gauntlet-runs"
FAILED, BAD_INPUT, CHECK_FAILED, INTERRUPTED = 1, 2, 3, 130
"""Exit codes."""


def parsed(changes: list[str] | None) -> dict[str, Any]:
    """`key=value` words; values are JSON where they can be, else plain text."""
    found = {}
    for word in changes or []:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is no change to the sweep; write KEY=VALUE, as in seeds=10")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found


def refuse_half(until: Until | None, max_seeds: int | None) -> None:
    """Raise ValueError for one of the two options that mean nothing without the other."""
    if (until is None) != (max_seeds is None):
        raise ValueError("--until decided and --max-seeds N go together: until when, and how far")


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=1))
