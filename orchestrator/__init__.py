"""Ray and MLflow: from a sweep to its records. No biology in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.driver import Ran, run
    from orchestrator.planning import Plan, plan
    from orchestrator.sweep import Comparison, Sweep

__all__ = ["Comparison", "Plan", "Ran", "Sweep", "plan", "run"]

_HOMES = {"Comparison": "sweep", "Sweep": "sweep", "Plan": "planning", "plan": "planning"}
_HOMES |= {"Ran": "driver", "run": "driver"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that `gauntlet --help` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"orchestrator.{_HOMES[name]}"), name)
