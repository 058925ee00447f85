"""A sweep's records in one Parquet file beside them: quick to read, and never the truth.

`compacted/<sweep>.parquet` has a row a trial. It is made again from the records whenever it is
missing or of another manifest, and takes in whatever changed since: each record's file is known by
its size and last change. Any number of processes may do so at once; each
writes a whole file of its own and renames it into place.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.manifests import newest, read_manifest, slug
from orchestrator.records import Ledger, parted
from orchestrator.rows import COLUMNS, about
from orchestrator.storage import fresh

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = ("task_version", "seed", "n_train", "n_eval", "n_classes")
TRUE = ("selected_on_test",)
REAL = ("fraction", "wall_s", "cpu_s", "gpu_s", "peak_rss_mb", "peak_gpu_mb")
SHARED = tuple(column for column in COLUMNS if column not in ("metric", "value"))
DISTINCT = ("trial_id", "started_at", "record")
"""Words that hardly two trials share; all others are kept once and numbered."""
FORMAT = "2"


def schema() -> pa.Schema:
    """A trial: what its rows of the tidy table share, the file it was read from ("" for none), and
    its metrics: their names, a line each, and their values."""
    import pyarrow as pa

    def kind(column: str) -> Any:
        if column in WHOLE or column in REAL:
            return pa.int64() if column in WHOLE else pa.float64()
        if column in TRUE:
            return pa.bool_()
        return pa.string() if column in DISTINCT else pa.dictionary(pa.int32(), pa.string())

    fields = [(column, kind(column)) for column in (*SHARED, "record", "metrics")]
    return pa.schema([*fields, ("values", pa.list_(pa.float64()))])


def compacted(storage: Path, sweep: str) -> pa.Table:
    """Every planned trial of a sweep, as the records now are, in the manifest's order.

    Raises LookupError naming the sweeps that this storage knows.
    """
    manifest = newest(storage, sweep)
    fresh(storage, "records/")
    home = storage / "compacted" / f"{slug(sweep)}.parquet"
    about_file = {"format": FORMAT, "manifest": manifest.name if manifest else ""}
    known = kept(home, about_file)
    planned = read_manifest(storage, sweep)["trials"]
    table = brought_up(storage, sweep, known, planned).replace_schema_metadata(about_file)
    if known is None or not table.equals(known):
        with contextlib.suppress(OSError):  # it is only quicker with the file
            keep(home, table)
    return table


def kept(home: Path, about_file: dict[str, str]) -> pa.Table | None:
    """The file's table, if it is there and of this manifest."""
    import pyarrow.parquet as pq

    numbered = [c for c in (*SHARED, "metrics") if c not in (*WHOLE, *REAL, *TRUE, *DISTINCT)]
    try:
        table = pq.read_table(home, read_dictionary=numbered)
    except (OSError, ValueError):  # absent, or not a file that can be read: the records can
        return None
    told = table.schema.metadata or {}
    same = all(told.get(key.encode()) == value.encode() for key, value in about_file.items())
    return table if same else None


def keep(home: Path, table: pa.Table) -> None:
    """Put a whole file into place."""
    import pyarrow.parquet as pq

    home.parent.mkdir(exist_ok=True)
    draft = home.with_name(f".{uuid.uuid4().hex}")
    try:
        pq.write_table(table, draft, compression="zstd")
        draft.replace(home)
    finally:
        draft.unlink(missing_ok=True)


def brought_up(
    storage: Path, sweep: str, known: pa.Table | None, planned: dict[str, Any]
) -> pa.Table:
    """The table with what changed among the records read anew; the same one if nothing did."""
    import pyarrow as pa

    old = [] if known is None else known["trial_id"].to_pylist()
    place = {trial: at for at, trial in enumerate(old)}
    records = [] if known is None else known["record"].to_pylist()
    root = Ledger(storage).root
    lying = {name: last_files(root / name) for name in {trial[:2] for trial in planned}}
    order, changed = [], []
    for trial in planned:
        at, now = place.get(trial, -1), lying[trial[:2]].get(trial, "")
        if at < 0 or now != records[at]:
            at = len(old) + len(changed)
            changed.append(row(storage, sweep, trial, now, planned))
        order.append(at)
    if known is not None and order == list(range(len(old))):
        return known
    new = pa.Table.from_pylist(changed, schema=schema())
    both = new if known is None else pa.concat_tables([known.cast(schema()), new])
    return both.unify_dictionaries().combine_chunks().take(pa.array(order, pa.int64()))


def last_files(folder: Path) -> dict[str, str]:
    """For each trial the file that tells of it now: its name, size and last change, of which also
    an edit in place and a copy from elsewhere leave another. The settled record, else the last
    attempt; see `Ledger.last`."""
    found: dict[str, tuple[float, str]] = {}
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    for entry in entries:
        if not entry.name.endswith(".json") or entry.name.startswith("."):
            continue
        trial, attempt = parted(entry.name)
        rank = float(attempt) if attempt.isdecimal() else float("inf")
        if rank >= found.get(trial, (-1.0, ""))[0]:
            with contextlib.suppress(FileNotFoundError):
                seen = entry.stat()
                found[trial] = rank, f"{entry.name} {seen.st_size} {seen.st_ctime_ns}"
    return {trial: told for trial, (_, told) in found.items()}


def row(storage: Path, sweep: str, trial: str, file: str, planned: dict[str, Any]) -> dict:
    """One trial's row, from the file that tells of it; "" where none does.

    A damaged file is set aside, and what the trial came to before counts.
    """
    ledger = Ledger(storage)
    record = (ledger.read(file.partition(" ")[0]) or ledger.last_here(trial)) if file else None
    if record is None:
        return {"trial_id": trial, "record": "", "values": []}
    return {"record": file} | with_metrics(about(record, sweep, planned), record["metrics"])


def damaged(shared: dict[str, Any], reason: str) -> dict[str, Any]:
    """Row of a trial that cannot be read, and why."""
    return shared | {"status": "damaged", "reason": reason, "metrics": "", "values": [None]}


def with_metrics(shared: dict[str, Any], metrics: dict[str, float]) -> dict[str, Any]:
    """A trial's row: what its measurements share, and they; one that is empty where there are
    none. A trial with a value that is no finite number is damaged as a whole."""
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            wrong = f"its {name} is {value!r}, which is no finite number"
            return damaged(shared, f"{wrong}: delete its record and run it again")
    values = list(metrics.values()) or [None]
    return shared | {"metrics": "\n".join(metrics), "values": values}


def of_rows(rows: Iterable[tuple[dict[str, Any], dict[str, float]]]) -> pa.Table:
    """Trials from anywhere, as what their measurements share and the measurements."""
    import pyarrow as pa

    return pa.Table.from_pylist([with_metrics(*row) for row in rows], schema=schema())
