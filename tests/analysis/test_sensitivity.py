"""Scatter over seeds: what two groups are, and what they are not."""

import numpy as np
import pytest

from analysis.sensitivity import UNIFORM, bimodality, learning_curves, seed_scatter, two_groups
from tests.analysis.conftest import scores_table

# shaped like the paper's runs without gene2vec: four at 0.60 to 0.67, six at 0.74 to 0.75
NO_GENE2VEC = np.array([0.60, 0.65, 0.67, 0.64, 0.74, 0.75, 0.74, 0.75, 0.74, 0.75])


def test_two_groups_are_seen_and_one_is_not():
    rng = np.random.default_rng(0)
    assert bimodality(np.tile(NO_GENE2VEC, 10)) > UNIFORM > bimodality(rng.normal(size=1000))
    assert two_groups(NO_GENE2VEC) > 5
    ones = [rng.normal(0.7, 0.02, 10) for _ in range(300)]
    assert np.mean([two_groups(one) > 10 for one in ones]) < 0.05
    twos = [np.r_[rng.normal(0.6, 0.01, 5), rng.normal(0.75, 0.01, 5)] for _ in range(50)]
    assert np.mean([two_groups(two) > 10 for two in twos]) > 0.95


def test_values_that_say_nothing_are_said_to():
    assert np.isnan(bimodality(np.array([0.5, 0.5, 0.5, 0.5])))
    assert np.isnan(bimodality(np.array([0.5, 0.6])))
    assert np.isnan(two_groups(np.array([0.5, 0.6, 0.7])))
    assert two_groups(np.full(8, 0.5)) == 0


@pytest.mark.parametrize("scale", [1, 100])
def test_neither_sign_depends_on_the_unit(scale):
    assert bimodality(NO_GENE2VEC * scale) == pytest.approx(bimodality(NO_GENE2VEC))
    assert two_groups(NO_GENE2VEC * scale) == pytest.approx(two_groups(NO_GENE2VEC), abs=1e-6)


def test_scatter_is_a_row_a_model():
    table = scores_table([0.5, 0.6], list(NO_GENE2VEC), metric="test/accuracy")
    found = seed_scatter(table).set_index("model")
    assert found.loc["a", "mean"] == pytest.approx(0.55)
    assert found.loc["a", "sd"] == pytest.approx(0.1 / 2**0.5)
    assert found.loc["b", ["n", "lowest", "highest"]].tolist() == [10, 0.60, 0.75]
    assert np.isnan(found.loc["a", "bimodality"])
    assert found.loc["b", "two_groups"] == two_groups(NO_GENE2VEC)


def test_learning_curves_have_a_row_an_epoch():
    table = scores_table([0.5], [0.6], metric="test/accuracy")
    one, other = table["trial_id"]
    told = [{"epoch": 1.0, "valid/accuracy": 0.4}, {"epoch": 2.0, "valid/accuracy": 0.6}]
    curves = learning_curves(table, {one: told, other: [{"loss": 1.0}]}, "valid/accuracy")
    assert curves[["model", "seed", "epoch", "value"]].values.tolist() == [
        ["a", 0, 1, 0.4],
        ["a", 0, 2, 0.6],
    ]
    assert learning_curves(table, {}, "valid/accuracy").empty
