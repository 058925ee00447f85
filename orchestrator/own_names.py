"""Names of sweeps over users' own cells: no two files share one in a storage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from orchestrator.manifests import newest, read, slug
from orchestrator.storage import opened, shown
from orchestrator.sweep import Sweep
from trainables.userdata import UserFile

DIGITS = 6
"""Number of hex digits of the cells' sha256 that tell files of one name apart."""


def on_own_cells(sweep: Sweep, cells: UserFile, storage: str | Path) -> Sweep:
    """Return the sweep on a user's cells, named after their file.

    Where the storage has a sweep of that name over other cells, or over other columns of the same
    file, digits of the cells' sha256 follow the name. Raises ValueError where the user chose it.
    """
    own = renamed(sweep, cells)
    place = opened(storage)
    if not is_of_others(own.name, cells, place):
        return own
    if cells.title:
        raise ValueError(
            f"{shown(place)} has a sweep {own.name} over other cells; choose another --name"
        )
    numbered = replace(cells, title=f"{cells.name}-{cells.sha256[:DIGITS]}")
    numbered.__dict__.update(sha256=cells.sha256, intake=cells.intake)  # read the file once
    typer.echo(
        f"note  {own.name} is a sweep over other cells here, so this one is"
        f" {renamed(sweep, numbered).name}; --name gives it another name",
        err=True,
    )
    return renamed(sweep, numbered)


def renamed(sweep: Sweep, cells: UserFile) -> Sweep:
    """Return the sweep on these cells, named after them."""
    own: Any = cells
    return sweep.on(own, name=f"{sweep.name}-{slug(cells.name)}")


def is_of_others(name: str, cells: UserFile, storage: Path) -> bool:
    """Whether the storage has a sweep of this name, small or not, but not over these cells."""
    paths = [newest(storage, full) for full in (name, f"{name}-small")]
    plans = [found for path in paths if path and (found := read(storage, path))]
    contents = [{source["sha256"] for source in plan["datasets"].values()} for plan in plans]
    return any(cells.sha256 not in content for content in contents)
