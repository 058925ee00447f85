"""A sweep's records in one Parquet file beside them: quick to read, and never the truth.

`compacted/<sweep>.parquet` has a row a trial. It is made again from the records whenever it is
missing or of another manifest, and takes in whatever changed since: a folder of records whose time
has not moved holds the same files as before. Any number of processes may do so at once; each
writes a whole file of its own and renames it into place.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.manifests import manifests_of, newest, read_manifest, slug
from orchestrator.records import Ledger
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
SETTLING_NS = 2_000_000_000
"""A folder that changed so lately may change again within the same tick of its clock."""


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
    manifest = newest(manifests_of(storage, sweep))
    fresh(storage, "records/")
    home = storage / "compacted" / f"{slug(sweep)}.parquet"
    about_file = {"format": FORMAT, "manifest": manifest.name if manifest else ""}
    known = kept(home, about_file)
    folders = times(Ledger(storage).root)
    seen = {} if known is None else json.loads(known.schema.metadata[b"folders"])
    moved = {name for name in {*folders, *seen} if folders.get(name, 0) != seen.get(name)}
    if known is not None and not moved:
        return known
    table = brought_up(storage, sweep, known, moved)
    long_ago = time.time_ns() - SETTLING_NS
    calm = {name: moment for name, moment in folders.items() if moment < long_ago}
    table = table.replace_schema_metadata(about_file | {"folders": json.dumps(calm)})
    with contextlib.suppress(PermissionError):  # who may only read has no use for the file either
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


def times(root: Path) -> dict[str, int]:
    """When each folder of records last got or lost a file."""
    return {path.name: path.stat().st_mtime_ns for path in root.glob("??")}


def brought_up(storage: Path, sweep: str, known: pa.Table | None, moved: set[str]) -> pa.Table:
    """The table with what changed in some folders of records read anew."""
    import pyarrow as pa

    planned = read_manifest(storage, sweep)["trials"]
    old = {} if known is None else {
        trial: (at, record)
        for at, (trial, record) in enumerate(
            zip(known["trial_id"].to_pylist(), known["record"].to_pylist(), strict=True)
        )
    }  # fmt: skip
    lying = {name: last_files(Ledger(storage).root / name) for name in moved}
    order, fresh = [], []
    for trial in planned:
        at, record = old.get(trial, (-1, None))
        name = trial[:2]
        now = lying[name].get(trial, "") if name in moved else record
        if at >= 0 and now == record:
            order.append(at)
        else:
            order.append(len(old) + len(fresh))
            fresh.append(row(storage, sweep, trial, now or "", planned))
    new = pa.Table.from_pylist(fresh, schema=schema())
    both = new if known is None else pa.concat_tables([known.cast(schema()), new])
    return both.unify_dictionaries().combine_chunks().take(pa.array(order, pa.int64()))


def last_files(folder: Path) -> dict[str, str]:
    """For each trial the file that tells of it now, as its name and its time: the settled record,
    else the last attempt. See `Ledger.last`."""
    found: dict[str, tuple[float, str]] = {}
    for path in folder.glob("*.json"):
        trial, _, attempt = path.stem.partition(".")
        rank = float(attempt) if attempt else float("inf")
        if trial and rank >= found.get(trial, (-1.0, ""))[0]:
            found[trial] = rank, f"{path.name} {path.stat().st_mtime_ns}"
    return {trial: told for trial, (_, told) in found.items()}


def row(storage: Path, sweep: str, trial: str, file: str, planned: dict[str, Any]) -> dict:
    """One trial's row, from the file that tells of it; "" where none does."""
    if not file:
        return {"trial_id": trial, "record": "", "values": []}
    path = Ledger(storage).root / trial[:2] / file.partition(" ")[0]
    try:
        record = json.loads(path.read_text())
        shared, metrics = about(record, sweep, planned), dict(record["metrics"])
    except (ValueError, KeyError, TypeError, AttributeError):
        where = path.relative_to(storage)
        reason = f"{where} is no whole record: put it back from a copy, or delete it and run again"
        return {"record": file} | damaged(planned_row(trial, sweep, planned), reason)
    return {"record": file} | with_metrics(shared, metrics)


def planned_row(trial: str, sweep: str, planned: dict[str, Any]) -> dict[str, Any]:
    """What a sweep's manifest says of a trial, as its row of the table."""
    from trainables.trial import Trial

    said = dict.fromkeys(("status", "reason", "code_version", "started_at", "hostname"))
    what = {"trial_id": trial, "trial": Trial(**planned[trial]).spelled_out(), "protocol": ""}
    return about({**said, **what, "metrics": {}, "cost": {}}, sweep, planned)


def damaged(shared: dict[str, Any], reason: str) -> dict[str, Any]:
    """The row of a trial that cannot be read, and why."""
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
