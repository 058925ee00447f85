"""Answers agree with scipy, keep their symmetries, and are refused when there are none."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from analysis.significance import COLUMNS, TESTS, compare
from tests.analysis.conftest import (
    A,
    B,
    failures_table,
    only,
    scores_table,
    sweep_table,
    zero_shot_table,
)

score = st.integers(0, 1000).map(lambda k: k / 1000)
arms = st.integers(2, 9).flatmap(
    lambda n: st.tuples(*[st.lists(score, min_size=n, max_size=n)] * 2)
)
explicit = st.sampled_from(TESTS)


def answer(a, b, **asked):
    return only(compare(scores_table(a, b), "a", "b", **asked))


# oracles


@pytest.mark.parametrize(
    ("test", "theirs"),
    [
        ("paired", stats.ttest_rel(A, B)),
        ("student", stats.ttest_ind(A, B)),
        ("welch", stats.ttest_ind(A, B, equal_var=False)),
    ],
)
def test_t_tests_are_scipys(test, theirs):
    ours = answer(A, B, test=test)
    low, high = theirs.confidence_interval()
    assert ours["p"] == pytest.approx(theirs.pvalue, rel=1e-10)
    assert ours["statistic"] == pytest.approx(theirs.statistic)
    assert ours["df"] == pytest.approx(theirs.df)
    assert (ours["ci_low"], ours["ci_high"]) == pytest.approx((low, high))


def test_wilcoxon_is_scipys():
    rng = np.random.default_rng(4)
    a, b = rng.random(12), rng.random(12) - 0.2
    assert answer(a, b, test="wilcoxon")["p"] == pytest.approx(stats.wilcoxon(a - b).pvalue)


@pytest.mark.parametrize(
    ("scbert", "logreg", "published"),
    [
        (
            [0.5347699050401753, 0.683418553688824, 0.6794740686632579],
            [0.7164353542731922, 0.718845872899927, 0.7197954711468225],
            0.15426898790314383,
        ),
        (
            [0.7017531044558072, 0.6963476990504017, 0.6778670562454346],
            [0.7514974433893353, 0.7531044558071585, 0.7509130752373996],
            0.0011816016043699317,
        ),
        (
            [0.7255661066471877, 0.735354273192111, 0.7179693206720233],
            [0.7842220598977355, 0.779108838568298, 0.7767713659605552],
            0.0006112935825696751,
        ),
    ],
)
def test_student_gives_the_published_p_values(scbert, logreg, published):
    """Boiarsky et al. 2023, figure 2, accuracy with 10, 25 and 50% of the labels."""
    assert answer(scbert, logreg, test="student")["p"] == pytest.approx(published, rel=1e-12)


def test_nadeau_bengio_by_hand():
    """Five differences, a fifth of the cells to test on: variance (1/5 + 0.25) s^2."""
    d = np.subtract(A, B)
    t = d.mean() / np.sqrt((1 / 5 + 0.25) * d.var(ddof=1))
    ours = answer(A, B)
    assert ours["test"] == "nadeau-bengio"
    assert ours["statistic"] == pytest.approx(t)
    assert ours["p"] == pytest.approx(2 * stats.t.sf(t, 4))
    assert ours["p"] > answer(A, B, test="paired")["p"]


def test_few_shot_shares_take_splits_for_less_alike():
    """rho is the share that is tested on, of all cells, times the fraction's fourth root."""
    table = scores_table(A, B)
    few = only(compare(table.assign(fraction=0.1, n_train=table["n_train"] / 10), "a", "b"))
    d, rho = np.subtract(A, B), 0.2 * 0.1**0.25
    t = d.mean() / np.sqrt((1 / 5 + rho / (1 - rho)) * d.var(ddof=1))
    assert few["p"] == pytest.approx(2 * stats.t.sf(t, 4))
    assert few["why"].endswith("a test share of 20% at 10% of the labels")


def test_equivalence_is_statsmodels_tost():
    row = answer(A, B, test="paired", margin=0.06)
    p, *_ = ttost_paired(np.array(A), np.array(B), -0.06, 0.06)
    assert row["p_equivalent"] == pytest.approx(p, rel=1e-10)
    low, high = stats.ttest_rel(A, B).confidence_interval(0.9)
    assert (row["verdict"] == "equivalent") == (low > -0.06 and high < 0.06)
    assert np.isnan(answer(A, B, test="paired")["p_equivalent"])


# properties


@given(arms, explicit)
@settings(max_examples=40, deadline=None)
def test_swapping_the_models_flips_signs_only(pair, test):
    one, other = answer(*pair, test=test), answer(*pair[::-1], test=test)
    for name in ("p", "df", "n"):
        assert one[name] == pytest.approx(other[name], nan_ok=True)
    for name, opposite in (
        ("difference", "difference"), ("statistic", "statistic"), ("effect", "effect"),
        ("ci_low", "ci_high"), ("effect_low", "effect_high"),
    ):  # fmt: skip
        assert one[name] == pytest.approx(-other[opposite], nan_ok=True, abs=1e-12)
    swapped = {"better": "worse", "worse": "better"}
    assert one["verdict"] == swapped.get(other["verdict"], other["verdict"])


@given(arms, explicit, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_neither_names_nor_the_order_of_rows_matter(pair, test, random):
    table = scores_table(*pair)
    order = list(range(len(table)))
    random.shuffle(order)
    renamed = table.iloc[order].replace({"model": {"a": "zebra", "b": "ant"}})
    before = only(compare(table, "a", "b", test=test))
    after = only(compare(renamed, "zebra", "ant", test=test))
    same = [name for name in COLUMNS if name not in {"a", "b", "note"}]
    pd.testing.assert_series_equal(before[same], after[same], check_names=False)


@given(arms, explicit)
@settings(max_examples=40, deadline=None)
def test_p_is_a_chance_and_the_interval_holds_the_difference(pair, test):
    row = answer(*pair, test=test)
    assume(not np.isnan(row["p"]))
    assert 0 <= row["p"] <= 1
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    if test not in {"wilcoxon", "permutation"}:  # whose ties make interval and test part company
        assert (row["p"] < 0.05) == (row["ci_low"] > 0 or row["ci_high"] < 0)


# refusals


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([0.8], [0.7], "1 of at least 2 shared seeds"),
        ([0.8, 0.9], [0.8, 0.9], "identical scores on every seed"),
        ([0.8, 0.9], [0.7, 0.8], "the same difference on every seed"),
    ],
)
def test_what_cannot_be_tested_says_so(a, b, reason):
    row = answer(a, b, margin=0.5)
    assert np.isnan(row["p"])
    assert np.isnan(row["p_adjusted"])
    assert row["verdict"] == "undecided"
    assert reason in row["note"]


def test_arms_without_spread_are_refused_unpaired_too():
    row = answer([0.8, 0.8], [0.7, 0.7], test="welch")
    assert np.isnan(row["p"])
    assert "no spread" in row["note"]


def test_a_sweep_of_failures_is_undecided():
    row = only(compare(failures_table(), "logreg", "mean"))
    assert row["n"] == 0
    assert row["note"] == "no test/macro_f1 of logreg or mean"


def test_seeds_without_a_partner_are_left_out_and_counted():
    table = sweep_table(fractions=(1.0,), lost={("pca+probe", 1.0, 0), ("mean", 1.0, 3)})
    row = only(compare(table, "logreg", "pca+probe"))
    assert row["n"] == 4
    assert "1 of 5 seeds left out" in row["note"]
    assert "pca+probe: 1 out_of_memory" in row["note"]


def test_unknown_names_are_answered_with_known_ones(table):
    with pytest.raises(LookupError, match="there are: logreg, mean, pca"):
        compare(table, "logreg", "scbert")
    with pytest.raises(LookupError, match="test/accuracy"):
        compare(table, "logreg", "mean", "test/auc")
    with pytest.raises(ValueError, match="no test 'z'"):
        compare(table, "logreg", "mean", test="z")
    with pytest.raises(ValueError, match="margin"):
        compare(table, "logreg", "mean", margin=-1)
    with pytest.raises(ValueError, match="itself"):
        compare(table, "mean", "mean")


# choices and verdicts


def test_no_shared_seed_means_welch():
    row = only(compare(scores_table(A, B, seeds_b=range(10, 15)), "a", "b"))
    assert row["test"] == "corrected-welch"
    assert "no seed is shared" in row["why"]
    plain = only(compare(scores_table(A, B, seeds_b=range(10, 15)), "a", "b", test="welch"))
    assert "share cells" in plain["note"]
    assert plain["p"] < row["p"]
    fixed = scores_table(A, B, seeds_b=range(10, 15), protocol="fixed test set")
    assert only(compare(fixed, "a", "b"))["test"] == "welch"


def test_no_held_out_cells_means_paired_and_no_claim_of_other_cells():
    row = only(compare(zero_shot_table(), "hvg", "scgpt", "avg_bio"))
    assert row["test"] == "paired"
    assert row["verdict"] == "better"
    assert "other seeds on these cells only" in row["why"]
    assert "not of other cells" in row["note"]


def test_deterministic_embeddings_have_no_p_value():
    table = zero_shot_table()
    same = table.assign(value=table.groupby(["model", "metric"])["value"].transform("mean"))
    row = only(compare(same, "hvg", "scgpt", "avg_bio"))
    assert np.isnan(row["p"])
    assert row["verdict"] == "undecided"
    assert "no score of single cells to say more" in row["note"]


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.05, "better"), (-0.05, "worse"), (0.0, "equivalent")]
)
def test_posterior_chances_decide(shift, expected):
    rng = np.random.default_rng(0)
    base = 0.8 + rng.normal(0, 0.01, 10)
    row = answer(base + shift + rng.normal(0, 0.002, 10), base, test="bayes", margin=0.02)
    assert row["verdict"] == expected
    assert row[f"chance_{expected}"] > 0.95
    assert row[["chance_better", "chance_equivalent", "chance_worse"]].sum() == pytest.approx(1)
    assert np.isnan(row["p"])
    assert answer(A, B, test="bayes")["verdict"] == "undecided"


def test_verdicts():
    rng = np.random.default_rng(0)
    base, noise = 0.8 + rng.normal(0, 0.01, 10), rng.normal(0, 0.002, 10)
    assert answer(base + 0.05 + noise, base)["verdict"] == "better"
    assert answer(base - 0.05 + noise, base)["verdict"] == "worse"
    assert answer(base + noise, base)["verdict"] == "undecided"
    assert answer(base + noise, base, margin=0.02)["verdict"] == "equivalent"
    assert answer(base + 0.05 + noise, base, margin=0.02)["verdict"] == "better"


def test_few_pairs_cannot_convince_wilcoxon():
    row = answer(A, np.subtract(A, [0.1, 0.11, 0.12, 0.13, 0.14]), test="wilcoxon")
    assert row["p"] == pytest.approx(2 / 2**5)
    assert "5 pairs cannot reach p < 0.05" in row["note"]
    assert np.isinf(row["ci_low"])


def test_more_seeds_cannot_always_decide():
    row = answer(np.add(B, [0.03, -0.03, 0.04, -0.02, 0.01]), B)
    assert pd.isna(row["seeds_needed"])
    assert "more test cells can" in row["note"]


def test_without_predictions_a_mean_over_classes_is_warned_of():
    told = "a class of few cells makes this find differences too easily"
    assert told in answer(A, B)["note"]
    accuracy = only(compare(scores_table(A, B, metric="test/accuracy"), "a", "b", "test/accuracy"))
    assert told not in accuracy["note"]


def test_the_effect_is_the_difference_in_pooled_spreads():
    row = answer(A, B, test="student")
    pooled = np.sqrt((np.var(A, ddof=1) + np.var(B, ddof=1)) / 2)
    assert row["effect"] == pytest.approx(row["difference"] / pooled * (1 - 3 / 31), rel=2e-3)


@pytest.mark.parametrize("test", ["paired", "bayes"])
def test_less_of_an_error_is_better(test):
    low, high = [0.10, 0.12, 0.11, 0.10], [0.30, 0.33, 0.29, 0.31]
    table = scores_table(low, high, metric="test/mse")
    row = only(compare(table, "a", "b", metric="test/mse", test=test))
    assert row["difference"] < 0
    assert row["verdict"] == "better"
    assert only(compare(table, "b", "a", metric="test/mse", test=test))["verdict"] == "worse"
    score = scores_table(low, high)
    assert only(compare(score, "a", "b", test=test))["verdict"] == "worse"
