"""One number a model: rliable's, and intervals that hold what they should."""

import numpy as np
import pytest
import rliable.library
import rliable.metrics
from scipy import stats

from analysis.aggregate import aggregates, bootstrap, improvement, profiles
from analysis.effects import cliffs_delta, cliffs_delta_interval
from tests.analysis.test_ranking import many_datasets

TABLE = many_datasets(n=4, seeds=5)


def matrix(model):
    """Runs by data sets, as rliable wants them."""
    own = TABLE[TABLE["model"] == model]
    return own.pivot_table(index="seed", columns="dataset", values="value").to_numpy()


def test_iqm_and_its_interval_are_rliables():
    found = aggregates(TABLE).set_index("model")
    for model in ("ada", "di"):
        assert found.loc[model, "iqm"] == pytest.approx(
            rliable.metrics.aggregate_iqm(matrix(model))
        )
    _, theirs = rliable.library.get_interval_estimates(
        {"ada": matrix("ada")}, lambda x: np.array([rliable.metrics.aggregate_iqm(x)]), reps=500
    )
    ours = found.loc["ada", ["iqm_low", "iqm_high"]].to_numpy(float)
    assert ours == pytest.approx(theirs["ada"].ravel(), abs=0.008)
    assert found.index[0] == "di"


def test_improvement_is_rliables():
    chance, low, high = improvement(TABLE, "di", "ada")
    assert chance == pytest.approx(
        rliable.metrics.probability_of_improvement(matrix("di"), matrix("ada"))
    )
    assert low < chance < high <= 1
    assert improvement(TABLE, "ada", "di")[0] == pytest.approx(1 - chance)


def test_profiles_are_rliables():
    taus = np.linspace(0.5, 0.9, 9)
    theirs, _ = rliable.library.create_performance_profile({"ada": matrix("ada")}, taus, reps=2)
    ours = profiles(TABLE, taus)
    assert ours["ada"].to_numpy() == pytest.approx(theirs["ada"])
    assert (ours.diff().dropna() <= 0).all().all()


def test_bca_is_scipys_and_strata_are_kept_apart():
    values = np.random.default_rng(2).exponential(size=30)
    theirs = stats.bootstrap((values,), np.mean, rng=0, n_resamples=9999).confidence_interval
    assert bootstrap([values], np.mean, method="BCa") == pytest.approx(theirs, rel=0.03)
    apart = [np.array([0.0, 0.1, 0.05]), np.array([1.0, 1.1, 1.05])]
    low, high = bootstrap(apart, np.mean)
    assert high - low < 0.1
    assert np.subtract(*bootstrap([np.concatenate(apart)], np.mean)[::-1]) > 0.5


def test_where_bca_is_not_defined_percentiles_are_taken():
    assert bootstrap([np.array([0.5]), np.array([0.7])], np.mean, method="BCa") == (0.6, 0.6)
    assert bootstrap([np.full(5, 0.5)], np.mean, method="BCa") == (0.5, 0.5)


def test_data_sets_that_a_model_lacks_do_not_count():
    found = aggregates(many_datasets(n=3, lost={(0, "cy")}))
    assert set(found["n_datasets"]) == {2}
    with pytest.raises(LookupError, match="no data set"):
        aggregates(many_datasets(n=1, lost={(0, "cy")}).assign(metric="test/other"))


def test_cliffs_delta_is_autoranks():
    """Its 1.3.0, _util._cliffs_delta."""
    a = np.array([0.4, 0.2, 0.9, 0.4, -0.2, 0.7, 1.6])
    b = np.array([1.2, -0.4, -1.0, -0.3, 0.3, -2.0, 0.1])
    assert cliffs_delta(a, b) == pytest.approx(0.6326530612244898)


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_cliffs_interval_holds_delta_nineteen_times_in_twenty(shift):
    rng = np.random.default_rng(1)
    truth = 2 * stats.norm.cdf(shift / np.sqrt(2)) - 1
    held = 0
    for _ in range(1000):
        low, high = cliffs_delta_interval(rng.normal(shift, 1, 10), rng.normal(0, 1, 10))
        assert -1 <= low <= high <= 1
        held += low <= truth <= high
    assert 0.92 < held / 1000 < 0.985


def test_arms_that_never_meet_are_bounded():
    low, high = cliffs_delta_interval(np.arange(5.0) + 10, np.arange(5.0))
    assert high == 1
    assert -1 < low < 1
    assert cliffs_delta_interval(np.arange(5.0), np.arange(5.0) + 10) == (-1.0, -low)
