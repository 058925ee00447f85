"""Models of a sweep that have no score: the first thing that a reader must know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Unscored:
    """A model whose trials all ended without a score, in the whole sweep or on one data set."""

    model: str
    dataset: str
    """"" where no data set has a score."""
    trials: int
    reason: str
    """Why, as the most frequent record says."""

    def __str__(self) -> str:
        where = f" on {self.dataset}" if self.dataset else ""
        trials = f"{self.trials} trial{'s' * (self.trials != 1)}"
        return f"no score for {self.model}{where} ({trials}): {self.reason}"


def unscored(table: pd.DataFrame, models: Iterable[str] | None = None) -> list[Unscored]:
    """Models without a score, in the order of `models`, from a sweep's tidy table.

    A model counts when all its trials have ended and none is ok. With `models`, others are left
    out, and one without any row is left out too: its trials are still to come.
    """
    found: list[Unscored] = []
    wanted = list(table["model"].unique() if models is None else models)
    for model in wanted:
        rows = table[table["model"] == model]
        empty = [
            (dataset, some)
            for dataset, some in rows.groupby("dataset", observed=True, sort=True)
            if not (some["status"] == "ok").any()
        ]
        if len(rows) and len(empty) == rows["dataset"].nunique():
            empty = [("", rows)]
        found += [Unscored(model, str(dataset), *summary(some)) for dataset, some in empty]
    return found


def summary(rows: pd.DataFrame) -> tuple[int, str]:
    """Number of trials, and their most frequent status and reason."""
    once = rows.drop_duplicates("trial_id")
    reasons = once["status"].astype(str) + ": " + once["reason"].fillna("").astype(str)
    return len(once), str(reasons.mode().iloc[0]).removesuffix(": ")
