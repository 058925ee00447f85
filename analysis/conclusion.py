"""A recorded sweep -> its comparisons and its report, as the command asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.predictions import kept_in
from analysis.results import find_storage, kept, planned, results

if TYPE_CHECKING:
    import pandas as pd


def preregistered(storage: str | Path, sweep: str) -> pd.DataFrame:
    """The comparisons that the sweep fixed before its first trial, adjusted as one family."""
    from analysis.significance import compare_all

    manifest = planned(storage, sweep)
    table = measured(manifest, storage)
    return compare_all(
        table, comparable(manifest, table), predictions=kept_in(find_storage(storage))
    )


def compared(
    storage: str | Path,
    sweep: str | None,
    *,
    a: str,
    b: str,
    dataset: str | None,
    metric: str | None,
    test: str,
    margin: float | None,
    correction: str = "holm",
) -> pd.DataFrame:
    """Two models of a sweep (the last one run, if none is named).

    Raises LookupError for a model, data set or metric that the sweep does not have.
    """
    from analysis.significance import compare

    manifest = planned(storage, sweep)
    table: Any = measured(manifest, storage)
    for model in (a, b):
        known(model, table["model"], "model")
    if dataset is not None:
        known(dataset, table["dataset"], "data set")
        table = table[table["dataset"] == dataset]
    chosen: str = metric or manifest["headline"]
    known(chosen, table["metric"], "metric")
    return compare(
        *(table, a, b, chosen),
        test=test,
        margin=margin,
        correction=correction,
        predictions=kept_in(find_storage(storage)),
    )


def write_report(storage: str | Path, sweep: str | None, out: Path | None) -> Path:
    """The report of a sweep as one HTML file; by default in the storage's `reports`."""
    from analysis.report import report
    from orchestrator.records import slug

    manifest = planned(storage, sweep)
    name = manifest["sweep"]
    page = out or find_storage(storage) / "reports" / f"{slug(name)}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    table = measured(manifest, storage)
    return report(
        table,
        comparable(manifest, table),
        page,
        title=manifest["title"],
        sweep=name,
        manifest=manifest,
        points=kept(table, "umap.parquet", storage),
        predictions=kept_in(find_storage(storage)),
    )


def measured(manifest: dict[str, Any], storage: str | Path) -> pd.DataFrame:
    """A sweep's table without the pretraining that its trials started from."""
    table = results(manifest["sweep"], storage)
    return table[table["task"] == manifest.get("task", table["task"])].reset_index(drop=True)


def comparable(manifest: dict[str, Any], table: pd.DataFrame) -> list[dict[str, Any]]:
    """The comparisons fixed beforehand, but for those of an arm whose trials are all to come.

    `gauntlet run SWEEP --only ARM` leaves such a table behind.
    """
    waiting = set(manifest["models"]) - set(table["model"])
    return [pair for pair in manifest["analysis"] if not waiting & {pair["a"], pair["b"]}]


def known(name: str, column: Any, what: str) -> None:
    """Raise LookupError, naming what there is, for a name that a column lacks."""
    there = sorted(column.dropna().unique())
    if name not in there:
        raise LookupError(f"this sweep has no {what} {name!r}; there are: {', '.join(there)}")
