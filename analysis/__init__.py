"""From the table to the claim: a DataFrame in, a DataFrame, a figure or a page out."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.report import report as report
    from analysis.results import results as results
    from analysis.significance import compare as compare

__all__ = ["compare", "report", "results"]

HOMES = {
    "compare": "analysis.significance",
    "report": "analysis.report",
    "results": "analysis.results",
}


def __getattr__(name: str) -> Any:
    """Pandas and the rest are loaded when something is asked for, so the command starts quickly."""
    if name not in HOMES:
        raise AttributeError(f"analysis has no {name!r}; there are: {', '.join(__all__)}")
    return getattr(import_module(HOMES[name]), name)


class Package(ModuleType):
    """Importing the file report.py puts a module under the name `report`: keep its function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in HOMES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = Package
