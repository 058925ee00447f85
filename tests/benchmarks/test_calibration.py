"""No difference is found about one time in twenty, and the papers' choice finds it more often.

Bounds are four Monte-Carlo errors wide, so that they fail for a wrong rule and not for bad luck.
"""

import numpy as np
import pytest

from analysis.predictions import SCORES
from analysis.predictions import within_classes as one_by_one
from benchmarks.calibration import lines_of
from benchmarks.designs import (
    Arm,
    Batches,
    Centroids,
    FixedTest,
    Resplit,
    TrainedModels,
    ZeroShot,
    accuracy,
    macro_f1,
    within_classes,
)

SIMS = 400
ERROR = np.sqrt(0.05 * 0.95 / SIMS)


@pytest.fixture(scope="module")
def resplit():
    """Ten seeds of random splits of 120 cells, at each label share."""
    alike = Resplit("alike", (60, 60), Arm(Centroids(), 4, 1.5))
    return {(line.fraction, line.n): line for line in lines_of(alike, SIMS, seed=3)}


def test_auto_keeps_its_promise_at_every_label_share(resplit):
    for (_, n), line in resplit.items():
        for choice in ("auto", "auto, scores"):
            assert line.rejected[choice] < 0.065 + 4 * ERROR
            assert line.covered[choice] > 0.935 - 4 * ERROR
        if n == 10:
            assert line.rejected["student"] > 0.09
            assert line.rejected["paired"] > 0.09


def test_the_correction_is_not_simply_large(resplit):
    """A test that never rejects would pass the test above."""
    mean = np.mean([line.rejected["auto, scores"] for line in resplit.values()])
    assert mean > 0.03
    few = np.mean([line.rejected["auto, scores"] for (f, _), line in resplit.items() if f == 0.1])
    assert few > 0.025


def test_luck_of_networks_is_not_taken_for_shared_cells():
    noisy = Resplit("noisy", (400, 400), Arm(Centroids(0.8), 4, 2.0))
    found = [line for line in lines_of(noisy, SIMS, seed=3) if line.n == 10]
    told = np.mean([line.rejected["auto"] for line in found])
    assert 0.02 < told < 0.06
    assert np.mean([line.rejected["auto, scores"] for line in found]) < told


@pytest.mark.parametrize(
    "design",
    [
        FixedTest("fixed", n_cells=150),
        FixedTest("fixed", new_cells=True, n_cells=150),
        Batches("batches", Arm(Centroids(), 4, 1.5), per_batch=20),
        ZeroShot("zero-shot", n_cells=30),
        TrainedModels("trained", n_cells=200),
    ],
    ids=lambda design: f"{design.name}, {getattr(design, 'new_cells', '')}",
)
def test_auto_keeps_its_promise_under_other_designs(design):
    for line in lines_of(design, SIMS, seed=3):
        assert line.rejected["auto"] < 0.065 + 4 * ERROR


def test_a_fixed_test_sets_cells_are_not_all_cells():
    line = lines_of(FixedTest("fixed", new_cells=True), SIMS, seed=3)[-1]
    assert line.rejected["auto, scores"] > 0.1  # it says that it speaks of these cells only


def test_mcnemar_keeps_its_own_null():
    for line in lines_of(TrainedModels("trained"), SIMS, seed=3):
        assert line.rejected["mcnemar"] < 0.05


@pytest.mark.parametrize(("name", "many"), [("accuracy", accuracy), ("macro_f1", macro_f1)])
def test_simulated_cells_are_reckoned_as_real_ones_are(name, many):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [30, 20, 10])
    said = np.where(rng.random((4, 60)) < 0.7, y, rng.integers(0, 3, (4, 60)))
    test = rng.random((4, 60)) < 0.6
    scores, adds = many(y, said, test)
    apart = within_classes(adds, y, test)
    for row in range(4):
        one = test[row]
        value, own = SCORES[name](y[one], said[row][one])
        assert scores[row] == pytest.approx(value)
        assert adds[row][one] == pytest.approx(own)
        assert apart[row][one] == pytest.approx(one_by_one(own, y[one]))
