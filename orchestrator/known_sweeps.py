"""Sweeps by their names: those of `search_spaces`, and files of one's own."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import runpy
from pathlib import Path

from orchestrator.sweep import Sweep


def sweep_names() -> list[str]:
    """Every sweep in `search_spaces`, such as "quickstart" or "boiarsky2023/table2"."""
    package = importlib.import_module("search_spaces")
    found = pkgutil.walk_packages(package.__path__, "search_spaces.")
    paths = [m.name.removeprefix("search_spaces.").replace(".", "/") for m in found if not m.ispkg]
    private = {path for path in paths if "/_" in path}  # what sweeps of a paper share
    return sorted({*paths} - {"spaces"} - private)


def find_sweep(name: str | Sweep) -> Sweep:
    """A sweep by name, or from a Python file of one's own that ends in `SWEEP =`.

    Raises LookupError naming the nearest known sweep.
    """
    if isinstance(name, Sweep):
        return name if name.name else dataclasses.replace(name, name="sweep")
    if name.endswith(".py"):
        return sweep_of_file(Path(name))
    if name not in sweep_names():
        from trainables.catalog import unknown

        raise LookupError(unknown("sweep", name, sweep_names()))
    module = importlib.import_module("search_spaces." + name.replace("/", "."))
    return dataclasses.replace(module.SWEEP, name=name)


def sweep_of_file(path: Path) -> Sweep:
    """The SWEEP of a user's own Python file, named after the file."""
    if not path.exists():
        raise LookupError(f"there is no file {path}; give a sweep's name or a Python file")
    sweep = runpy.run_path(str(path)).get("SWEEP")
    if not isinstance(sweep, Sweep):
        raise LookupError(f"{path} defines no sweep; end it with SWEEP = Sweep(...)")
    return dataclasses.replace(sweep, name=path.stem)
