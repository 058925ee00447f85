"""Scores between floor and ceiling."""

import pandas as pd
import pytest

from analysis.scaling import rescaled
from tests.analysis.conftest import trial

CONTROLS = {"noise": "floor", "apart": "floor", "truth": "ceiling"}


def controlled(values, metric="avg_bio", **changes):
    rows = [
        trial(model, "{}", 1.0, seed, task="clustering", **changes)
        | {"metric": metric, "value": value}
        for model, per_seed in values.items()
        for seed, value in enumerate(per_seed)
    ]
    return pd.DataFrame(rows)


def test_floors_are_zero_and_ceilings_one_and_the_rest_between():
    table = controlled({"noise": [0.1, 0.3], "truth": [1.0, 1.0], "pca": [0.6, 0.2]})
    found = rescaled(table, CONTROLS)
    means = found.groupby("model")["value"].mean()
    assert means["noise"] == pytest.approx(0)
    assert means["truth"] == pytest.approx(1)
    assert found.loc[found["model"] == "pca", "value"].tolist() == pytest.approx([0.5, 0.0])
    assert set(found["metric"]) == {"rescaled/avg_bio"}


def test_the_lowest_floor_counts():
    table = controlled({"noise": [0.5], "apart": [0.0], "truth": [1.0], "pca": [0.5]})
    found = rescaled(table, CONTROLS).set_index("model")["value"]
    assert found["pca"] == pytest.approx(0.5)


def test_what_has_no_floor_or_no_ceiling_above_it_is_left_out():
    assert rescaled(controlled({"pca": [0.5], "truth": [1.0]}), CONTROLS).empty
    assert rescaled(controlled({"pca": [0.5], "noise": [1.0]}), CONTROLS).empty
    error = controlled({"pca": [0.5], "noise": [1.0], "truth": [0.0]}, metric="pcr")
    assert rescaled(error, CONTROLS).empty


def test_each_data_set_has_its_own_bounds():
    one = controlled({"noise": [0.0], "truth": [1.0], "pca": [0.5]})
    other = controlled({"noise": [0.0], "truth": [0.5], "pca": [0.5]}, dataset="other")
    found = rescaled(pd.concat([one, other]), CONTROLS).query("model == 'pca'")
    assert dict(zip(found["dataset"], found["value"], strict=True)) == pytest.approx(
        {"pbmc68k_reduced": 0.5, "other": 1.0}
    )
