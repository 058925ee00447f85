"""What a trial saves is what pandas would have written."""

import numpy as np
import pandas as pd
import pytest

from orchestrator.artifacts import save_table

TABLE = pd.DataFrame(
    {
        "name": ["plain", 'quo"ted', "com,ma", "two\nlines", ""],
        "nothing": [None, "a", "b", "c", "d"],
        "whole": [0, -1, 2**40, 3, 4],
        "real": [0.1, np.nan, 1e-7, 1e22, -np.inf],
        "short": np.array([0.1, 1 / 3, np.nan, 1, 2], dtype=np.float32),
        "yes": [True, False, True, False, True],
    }
)


@pytest.mark.parametrize("table", [TABLE, TABLE[:0], TABLE[["name"]]])
def test_a_summary_is_the_csv_that_pandas_writes(tmp_path, table):
    save_table(tmp_path / "ours.csv", table)
    table.to_csv(tmp_path / "theirs.csv", index=False)
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()


def test_a_table_of_cells_is_the_parquet_that_pandas_writes(tmp_path):
    save_table(tmp_path / "ours.parquet", TABLE)
    TABLE.to_parquet(tmp_path / "theirs.parquet", index=False)
    assert (tmp_path / "ours.parquet").read_bytes() == (tmp_path / "theirs.parquet").read_bytes()
