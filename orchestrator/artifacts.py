"""What a trial leaves beside its record: a log, tables, and a folder of its own for them."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.storage import share

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Keep what a trial prints and warns; an empty log leaves no file."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield
    finally:
        if said.getvalue():
            path.write_text(said.getvalue())


def save_table(path: Path, table: pd.DataFrame) -> None:
    """Parquet for tables of cells, CSV for summaries that people open.

    Byte for byte what pandas writes, in half its time: a quick trial waits for little else.
    """
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), str(path))
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(table.columns)
        out.writerows(zip(*(told(table[name].to_numpy()) for name in table), strict=True))


def told(column: np.ndarray) -> list[Any]:
    """What a CSV says of each value: nothing of a number that is none."""
    if column.dtype.kind != "f":
        return column.tolist()
    return ["" if value == "nan" else value for value in column.astype(str).tolist()]


def keep_artifacts(storage: Path, trial_id: str, draft: Path) -> None:
    """Move a trial's artifacts to `artifacts/<id>`, in place of what a lost attempt left there."""
    home = storage / "artifacts" / trial_id
    incoming = home.with_name(f".{trial_id}-{uuid.uuid4().hex}")
    home.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    try:
        draft.rename(home)  # at once, where scratch is on the same disk
    except OSError:
        try:
            shutil.copytree(draft, incoming)
            with contextlib.suppress(OSError):  # another worker has just put the same files there
                incoming.rename(home)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    share(storage, f"artifacts/{trial_id}")
