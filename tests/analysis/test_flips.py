"""Flipped signs: scipy's exact tests, their intervals, and what leaves them unchanged."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.flips import FlipEstimate, RankEstimate

differences = st.lists(st.integers(-20, 20), min_size=2, max_size=8).map(
    lambda whole: np.array(whole) / 100
)


def by_hand(d):
    """Every pattern of signs, one by one."""
    sums = [abs(np.dot(signs, d)) for signs in itertools.product([1, -1], repeat=len(d))]
    return np.mean(np.array(sums) >= abs(d.sum()) - 1e-12)


@given(differences)
@settings(max_examples=50, deadline=None)
def test_every_pattern_is_tried(d):
    assert FlipEstimate(d).p == pytest.approx(by_hand(d))


@pytest.mark.parametrize("n", [5, 10, 13])
def test_permutation_is_scipys(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    theirs = stats.permutation_test(
        (d, np.zeros(n)), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples",
        n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    assert FlipEstimate(d).p == pytest.approx(theirs.pvalue)


def test_many_pairs_are_sampled_close_to_the_t_test():
    d = np.random.default_rng(1).normal(0.35, 1, 40)
    assert FlipEstimate(d).p == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)
    assert FlipEstimate(d).p == FlipEstimate(-d).p
    low, high = stats.ttest_1samp(d, 0).confidence_interval()
    assert FlipEstimate(d).interval() == pytest.approx((low, high), abs=0.03)


@given(differences)
@settings(max_examples=50, deadline=None)
def test_wilcoxon_is_scipys_with_ties_and_zeros(d):
    if not d.any():
        return
    theirs = stats.wilcoxon(d.round(12), method=stats.PermutationMethod())
    assert RankEstimate(d).p == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("kind", [FlipEstimate, RankEstimate])
@pytest.mark.parametrize("n", [6, 9, 12])
def test_the_interval_is_what_the_test_would_not_reject(kind, n):
    d = np.random.default_rng(n).normal(0.5, 1, n)
    low, high = kind(d).interval(0.95)
    for end, outward in ((low, -1e-6), (high, 1e-6)):
        assert kind(d - end - outward).p < 0.05
        assert kind(d - end + outward).p >= 0.05


def test_one_sided_chances_are_halves_of_the_whole():
    d = np.random.default_rng(3).normal(0.5, 1, 9)
    for kind in (FlipEstimate, RankEstimate):
        assert min(kind(d).above(0.0), kind(d).below(0.0)) * 2 == pytest.approx(kind(d).p)
        assert kind(d).above(d.max() + 1) == 1


def test_many_comparisons_at_once_are_those_one_by_one():
    d = np.random.default_rng(5).normal(size=(4, 6))
    for kind in (FlipEstimate, RankEstimate):
        assert kind(d).p.tolist() == pytest.approx([kind(row).p for row in d])
        assert np.transpose(kind(d).interval(0.8)) == pytest.approx(
            np.array([kind(row).interval(0.8) for row in d])
        )
