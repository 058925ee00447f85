"""Holes and doubles are found before statistics are made."""

import pandas as pd
import pytest

from analysis.table import REQUIRED, check, holes
from tests.analysis.conftest import failures_table, sweep_table, zero_shot_table


@pytest.mark.parametrize("make", [sweep_table, zero_shot_table, failures_table])
def test_a_sweeps_table_passes_as_it_is(make):
    table = make()
    assert check(table) is table


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_column_is_named(table, name):
    with pytest.raises(ValueError, match=f"lacks {name}"):
        check(table.drop(columns=name))


def test_a_measurement_that_is_there_twice_is_named(table):
    doubled = pd.concat([table, table.iloc[[0]].assign(sweep="other")])
    with pytest.raises(ValueError, match=r"logreg .* is there 2 times, differing in sweep"):
        check(doubled)


def test_a_retried_trial_is_no_double(table):
    first_try = table.iloc[[0]].assign(status="failed", metric=None, value=float("nan"))
    check(pd.concat([table, first_try]))


@pytest.mark.parametrize("column", ["protocol", "dataset_sha256", "task_version", "model_version"])
def test_unlike_things_are_not_averaged(table, column):
    mixed = table.copy()
    mixed[column] = mixed[column].where(mixed["seed"] > 0, "another")
    with pytest.raises(ValueError, match=f"mixes {column}"):
        check(mixed)


def test_a_percentage_is_no_fraction(table):
    with pytest.raises(ValueError, match="at most 1"):
        check(table.assign(fraction=10.0))


def test_holes_are_what_failed_and_what_nobody_tried():
    table = sweep_table(seeds=2, lost={("mean", 0.1, 1)})
    table = table[~((table["model"] == "pca+probe") & (table["fraction"] == 0.5))]
    found = holes(table).set_index(["model", "fraction", "seed"])["status"].to_dict()
    assert found == {
        ("mean", 0.1, 1): "out_of_memory",
        ("pca+probe", 0.5, 0): "missing",
        ("pca+probe", 0.5, 1): "missing",
    }


def test_a_full_design_has_no_holes(table):
    assert holes(table).empty
