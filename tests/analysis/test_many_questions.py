"""Several questions: p-values are adjusted together, and so is what more seeds can do."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.significance import compare, compare_all
from tests.analysis.conftest import A, B, only, scores_table, sweep_table


def test_holm_by_hand():
    table = sweep_table(draw=2, skill={"logreg": 0.815, "pca+probe": 0.81, "mean": 0.8})
    rows = compare(table, "logreg", "pca+probe").sort_values("p")
    by_hand = np.minimum(np.maximum.accumulate(rows["p"] * [4, 3, 2, 1]), 1)
    assert rows["p_adjusted"].tolist() == pytest.approx(by_hand.tolist())


def test_benjamini_hochberg_is_scipys():
    table = sweep_table(draw=2, skill={"logreg": 0.815, "pca+probe": 0.81, "mean": 0.8})
    rows = compare(table, "logreg", "pca+probe", correction="benjamini-hochberg")
    theirs = stats.false_discovery_control(rows["p"])
    assert rows["p_adjusted"].tolist() == pytest.approx(theirs.tolist())
    with pytest.raises(ValueError, match="no correction 'bonferoni'; there are: holm"):
        compare(table, "logreg", "pca+probe", correction="bonferoni")


def test_planned_comparisons_are_adjusted_together():
    table = sweep_table()
    plan = [{"a": "logreg", "b": "pca+probe"}, {"a": "logreg", "b": "mean", "margin": 0.02}]
    together = compare_all(table, plan)
    alone = pd.concat([compare(table, **question) for question in plan], ignore_index=True)
    assert together["p"].tolist() == alone["p"].tolist()
    assert (together["p_adjusted"] >= alone["p_adjusted"]).all()
    assert together["p_adjusted"].min() == pytest.approx(8 * together["p"].min())
    uncorrected = compare_all(table, plan, correction=None)
    assert uncorrected["p_adjusted"].equals(uncorrected["p"])


def test_refused_rows_are_not_counted_by_holm():
    table = pd.concat(
        [scores_table(A, B), scores_table(A, A, dataset="other", dataset_sha256="f" * 64)]
    )
    rows = compare(table, "a", "b").set_index("dataset")
    assert np.isnan(rows.loc["other", "p"])
    assert rows.loc["pbmc68k_reduced", "p_adjusted"] == rows.loc["pbmc68k_reduced", "p"]


def test_what_else_is_asked_makes_more_seeds_necessary():
    """Holm asks p < 0.05 / 8 of the first of eight, and the outlook is of that level."""
    table = scores_table(np.add(B, [0.03, 0.01, 0.04, 0.02, 0.01]), B)
    alone = only(compare(table, "a", "b", test="paired"))
    many = compare_all(table, [{"a": "a", "b": "b", "margin": 0.001 * k} for k in range(1, 9)],
                       test="paired")  # fmt: skip
    assert alone["p"] < 0.05 < many["p_adjusted"].min()
    assert (many["seeds_needed"] > alone["seeds_needed"]).all()
    strict = only(compare(table, "a", "b", test="paired", alpha=0.05 / 8))
    assert set(many["seeds_needed"]) == {strict["seeds_needed"]}
    uncorrected = compare_all(table, [{"a": "a", "b": "b"}] * 8, test="paired", correction=None)
    assert set(uncorrected["seeds_needed"]) == {alone["seeds_needed"]}


def test_the_note_that_seeds_cannot_decide_knows_of_what_else_is_asked():
    """A difference within reach when asked alone, and beyond it as one of twenty."""
    table = scores_table(np.add(B, [0.02, 0.034, 0.02, 0.001, 0.02]), B)
    alone = only(compare(table, "a", "b"))
    assert alone["verdict"] == "undecided"
    assert alone["seeds_needed"] > 5
    assert "more seeds" not in alone["note"]
    many = compare_all(table, [{"a": "a", "b": "b"}] * 20)
    assert many["seeds_needed"].isna().all()
    assert many["note"].str.endswith("more seeds cannot decide this: more test cells can").all()
