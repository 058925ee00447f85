"""McNemar's test: statsmodels' for one seed, an honest combination for several."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from analysis.mcnemar import McNemar, ruger


def of(only_a, only_b, cells=100):
    only_a, only_b = np.atleast_1d(only_a), np.atleast_1d(only_b)
    return McNemar(only_a, only_b, np.full(only_a.shape, cells))


@pytest.mark.parametrize(("won", "lost"), [(10, 3), (3, 10), (25, 24), (1, 0)])
def test_one_seed_is_statsmodels_less_half_the_observed_chance(won, lost):
    from scipy.stats import binom

    exact = mcnemar([[50, won], [lost, 20]], exact=True).pvalue
    mid = exact - binom.pmf(min(won, lost), won + lost, 0.5)
    assert of(won, lost).p == pytest.approx(mid)


def test_seeds_that_contradict_each_other_prove_nothing():
    assert of([30, 0, 30, 0], [0, 30, 0, 30]).p == 1
    assert of([30, 28, 31, 29], [0, 1, 0, 2]).p < 1e-6


def test_copies_of_one_seed_prove_no_more_than_one():
    assert of([15] * 5, [4] * 5).p >= of(15, 4).p


def test_combined_p_values_hold_whatever_their_dependence():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.5, 0.9, 1.0):
        z = np.sqrt(share) * rng.normal(size=(20_000, 1))
        z = z + np.sqrt(1 - share) * rng.normal(size=(20_000, 5))
        from scipy.stats import norm

        assert np.mean(ruger(norm.sf(z)) < 0.05) < 0.055


def test_the_interval_is_near_what_the_test_rejects():
    found = of([40, 38, 45], [20, 22, 19], 500)
    low, high = found.interval()
    assert 0 < low < found.difference < high
    assert found.below(high) == pytest.approx(0.025)
    assert found.above(low) == pytest.approx(0.025)
    none = of([30, 28, 25], [25, 27, 30], 500)
    assert none.interval()[0] < 0 < none.interval()[1]
    assert none.p == 1


def test_swapping_models_flips_signs_only():
    one, other = of([12, 9], [3, 4]), of([3, 4], [12, 9])
    assert one.p == other.p
    assert one.difference == -other.difference
    assert one.interval() == pytest.approx(tuple(-x for x in other.interval()[::-1]))
