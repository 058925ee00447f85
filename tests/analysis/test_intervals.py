"""t tests of which a part is known are scipy's in their limits, and err as often as told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.intervals import PartlyKnown, corrected_welch, seeds_and_cells, welch

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)
CHANCES = (NODES + 1) / 2


@pytest.mark.parametrize("df", [1, 2, 4, 9, 49])
def test_with_nothing_known_it_is_a_t_test(df):
    found = PartlyKnown(np.array([0.3, 2.5, 8.0]), np.full(3, 1.3), df)
    assert found.p == pytest.approx(2 * stats.t.sf(found.difference / 1.3, df), rel=1e-6)
    low, high = found.interval(0.99)
    assert (high - low) / 2 == pytest.approx(np.full(3, 1.3 * stats.t.isf(0.005, df)))


def test_with_all_known_it_is_a_z_test():
    found = PartlyKnown(2.0, 1.5, 4, floor=1.5**2)
    assert found.p == pytest.approx(2 * stats.norm.sf(2 / 1.5))
    assert found.interval()[1] == pytest.approx(2 + 1.5 * stats.norm.isf(0.025))


positive = st.floats(0.01, 100)


@given(st.floats(-50, 50), positive, positive, st.integers(1, 30))
def test_chances_and_intervals_agree(difference, own, known, df):
    found = PartlyKnown(difference, np.sqrt(own + known), df, known)
    low, high = found.interval(0.9)
    assert found.above(low) == pytest.approx(0.05, rel=1e-6)
    assert found.below(high) == pytest.approx(0.05, rel=1e-6)
    assert found.above(0.0) + found.below(0.0) == pytest.approx(1, abs=1e-8)
    assert found.p == pytest.approx(2 * min(found.above(0.0), found.below(0.0)), rel=1e-6)


@pytest.mark.parametrize(
    ("seeds", "least", "most"), [(3, 0.044, 0.0615), (5, 0.0475, 0.0535), (10, 0.049, 0.051)]
)
@pytest.mark.parametrize("ratio", [0.1, 0.3, 1, 3, 10, 30])
def test_it_errs_as_often_as_told_however_large_the_parts_are(seeds, least, most, ratio):
    """Exactly, by quadrature over the estimated variance; the known one is 1."""
    df = seeds - 1
    own = ratio * stats.chi2.ppf(CHANCES, df) / df
    found = PartlyKnown(np.zeros(len(own)), np.sqrt(own + 1), df, 1.0)
    beyond = 2 * stats.norm.sf(found.interval()[1] / np.sqrt(ratio + 1))
    assert least < beyond @ WEIGHTS / 2 < most


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (3, 10), (5, 5)])
@pytest.mark.parametrize("ratio", [0.1, 1, 10])
def test_unpaired_arms_err_as_often_as_told(n_a, n_b, ratio):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40_000, n_a)) * np.sqrt(ratio * n_a), rng.normal(size=(40_000, n_b))
    assert 0.0375 < (corrected_welch(a, b * np.sqrt(n_b), 0.0).p < 0.05).mean() < 0.065


def test_many_seeds_need_no_second_term():
    a, b = np.random.default_rng(1).normal(size=(2, 400))
    assert corrected_welch(a, b, 0.0).df == pytest.approx(welch(a, b).df, rel=0.02)
    assert corrected_welch(a, b, 0.25).error > welch(a, b).error


def test_what_cells_leave_is_added_and_counts_as_known():
    a, b = np.array([0.9, 0.8, 0.85]), np.array([0.7, 0.75, 0.8])
    own = np.var(a - b, ddof=1) / 3
    found = [seeds_and_cells(a, b, cells) for cells in (0.0, own / 9, 1e6 * own)]
    assert [one.error**2 for one in found] == pytest.approx([own, own * 10 / 9, own * (1e6 + 1)])
    assert found[0].p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert found[1].p < 2 * stats.t.sf(found[1].statistic, 2)  # the known part has no tails
    assert found[2].p == pytest.approx(2 * stats.norm.sf(found[2].statistic), rel=1e-3)
