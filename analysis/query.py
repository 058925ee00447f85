"""Trials, a row each, to the tidy table, a row a metric; and SQL conditions on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

LONGEST_S = 60.0
"""Seconds that a condition may take: a table of 100,000 trials takes less than one."""


def tidy(trials: pa.Table, columns: list[str], where: str | None = None) -> pd.DataFrame:
    """The rows of the tidy table for which an SQL condition holds, in their order.

    `trials` is from `orchestrator.compact`. Rows that nobody asked for are never made: the
    condition is looked up among trials and metrics, which are kept apart.
    """
    import pandas as pd

    trials = trials.filter(trials["status"].is_valid())  # others are planned and have no record
    parent, metric, names = metrics_of(trials)
    value = trials["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    shared = [column for column in columns if column not in ("metric", "value")]
    if where is not None:
        measured = {"trial": parent, "metric": dictionary(metric, names), "value": nullable(value)}
        kept = holding(where, columns, trials.select(shared), measured)
        parent, metric, value = parent[kept], metric[kept], value[kept]
    found = {}
    for column in shared:
        # words that trials share stay one object, however many rows name them
        found[column] = np.asarray(trials[column].to_pandas())[parent]
    found |= {"metric": np.array([*names, None], dtype=object)[metric], "value": value}
    return pd.DataFrame({column: found[column] for column in columns}, copy=False)


def metrics_of(trials: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every measurement its trial's position and its metric's number, and the metrics' names;
    a trial without metrics counts once, with the number -1."""
    lists = trials["metrics"].unify_dictionaries().combine_chunks()
    sets = [text.split("\n") if text else [] for text in lists.dictionary.to_pylist()]
    names = sorted({name for some in sets for name in some})
    numbers = [np.array([names.index(n) for n in some] or [-1], dtype=np.int64) for some in sets]
    codes = lists.indices.to_numpy(zero_copy_only=False)
    each = [numbers[code] for code in codes]
    lengths = np.array([len(some) for some in each], dtype=np.int64)
    metric = np.concatenate(each) if each else np.empty(0, dtype=np.int64)
    return np.repeat(np.arange(len(codes)), lengths), metric, np.array(names, dtype=object)


def dictionary(codes: np.ndarray, names: np.ndarray) -> pa.Array:
    """Numbers with the words they stand for; -1 for none."""
    import pyarrow as pa

    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


def nullable(values: np.ndarray) -> pa.Array:
    """Numbers with NULL for NaN, which SQL would take for the largest of all."""
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))


def holding(
    where: str, columns: list[str], trials: pa.Table, measured: dict[str, Any]
) -> np.ndarray:
    """The positions of the measurements for which a condition holds.

    Raises ValueError for a condition that cannot be read, and for one that takes longer than
    `LONGEST_S`. It sees the table `results` and nothing else: no file, no network.
    """
    import threading

    import duckdb
    import pyarrow as pa

    n = len(measured["trial"])
    numbered = pa.table(measured | {"position": np.arange(n)})
    listed = ", ".join(f'"{column}"' for column in columns)
    with duckdb.connect(config={"enable_external_access": "false"}) as database:
        database.register("trials", trials.append_column("trial", pa.array(range(len(trials)))))
        database.register("measured", numbered)
        database.execute(
            f"CREATE VIEW results AS SELECT {listed}, position FROM measured JOIN trials"
            " USING (trial)"
        )
        timer = threading.Timer(LONGEST_S, database.interrupt)
        timer.daemon = True
        timer.start()
        try:
            refuse_more_than_a_condition(database, where)
            asked = f"SELECT position FROM results WHERE ({where}\n) ORDER BY position"
            return np.asarray(database.execute(asked).fetchnumpy()["position"])
        except duckdb.InterruptException:
            raise ValueError(
                f"--where {where!r} took longer than {LONGEST_S:g} s; ask for less, or read the"
                " whole table with --format parquet"
            ) from None
        except duckdb.Error as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(
                f"--where {where!r}: {reason}; the columns are: {', '.join(columns)}"
            ) from None
        finally:
            timer.cancel()


def refuse_more_than_a_condition(database: duckdb.DuckDBPyConnection, where: str) -> None:
    """Raise ValueError for what is no condition by itself, such as one that closes a parenthesis
    that it did not open. DuckDB's own parser says so; nothing is run."""
    import json

    for text in (f"SELECT {where}\n", f"SELECT ({where}\n)"):
        (told,) = database.execute("SELECT json_serialize_sql(?)", [text]).fetchone() or ("{}",)
        parsed = json.loads(told)
        if parsed["error"]:
            raise ValueError(
                f"--where {where!r} is no condition: {parsed['error_message']}; write one such as"
                " model = 'logreg' and fraction < 1"
            )
