"""Validation chooses; the test set only reports."""

import numpy as np
import pytest

from analysis.selection import candidates_as_models, choose_on_validation, chosen
from analysis.table import CELL
from tests.analysis.conftest import failures_table, sweep_table, zero_shot_table


def picks(table):
    kept = choose_on_validation(table)
    return kept.groupby([*CELL, "model"])["model_params"].unique().map(list).to_dict()


def test_one_candidate_is_left_in_every_cell(table):
    assert all(len(params) == 1 for params in picks(table).values())


def test_the_test_set_is_never_looked_at(table):
    shuffled = table.copy()
    on_test = shuffled["metric"].str.startswith("test/")
    shuffled.loc[on_test, "value"] = np.random.default_rng(1).random(on_test.sum())
    assert picks(shuffled) == picks(table)
    assert picks(table[~on_test]) == picks(table)


def test_the_best_mean_on_validation_is_chosen(table):
    best = (table["model_params"] == '{"C": 0.01}') & (table["metric"] == "valid/macro_f1")
    table.loc[best, "value"] += 1
    summary = chosen(table).query("model == 'logreg'")
    assert set(summary["model_params"]) == {'{"C": 0.01}'}
    assert set(summary["n_candidates"]) == {3}
    assert (summary["valid_mean"] > 1).all()


def test_the_order_of_rows_does_not_choose(table):
    assert picks(table.sample(frac=1, random_state=3)) == picks(table)


def test_equals_are_chosen_among_by_alphabet(table):
    assert set(chosen(table.assign(value=0.5)).query("model == 'logreg'")["model_params"]) == {
        '{"C": 0.01}'
    }


def test_a_candidate_that_lost_a_seed_is_not_chosen(table):
    lucky = (table["model_params"] == '{"C": 0.01}') & (table["metric"] == "valid/macro_f1")
    table.loc[lucky, "value"] += 1
    table = table[~(lucky & (table["seed"] == 0))]
    assert '{"C": 0.01}' not in set(chosen(table)["model_params"])


def test_one_candidate_needs_no_validation():
    table = zero_shot_table()
    kept = choose_on_validation(table)
    assert len(kept) == len(table)
    assert set(kept["n_candidates"]) == {1}


def test_a_choice_without_validation_is_refused(table):
    with pytest.raises(ValueError, match=r"logreg has 3 candidates .* no 'valid/nope'"):
        choose_on_validation(table, "valid/nope")


def test_failures_are_kept():
    assert len(choose_on_validation(failures_table())) == len(failures_table())


def test_candidates_that_cannot_be_chosen_among_become_arms(table):
    bare = table[~table["metric"].str.startswith("valid/")]
    arms = candidates_as_models(bare, "valid/macro_f1")
    assert 'logreg {"C": 0.1}' in set(arms["model"])
    assert candidates_as_models(table, "valid/macro_f1")["model"].equals(table["model"])


def test_the_smallest_error_is_chosen():
    table = sweep_table(seeds=2, fractions=(1.0,))
    errors = table.assign(metric=table["metric"].str.replace("macro_f1", "mse"))
    by_score = choose_on_validation(table, "valid/macro_f1").query("model == 'logreg'")
    by_error = choose_on_validation(errors, "valid/mse").query("model == 'logreg'")
    assert set(by_score["model_params"]) == {'{"C": 1.0}'}
    assert set(by_error["model_params"]) == {'{"C": 0.01}'}
