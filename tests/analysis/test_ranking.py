"""Ranks over data sets: scikit-posthocs', autorank's and Demsar's own numbers."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.figures.ranks import ranks as diagram
from analysis.figures.style import svg
from analysis.ranking import ranking
from tests.analysis.conftest import trial

MODELS = ["ada", "bob", "cy", "di"]


def many_datasets(n=12, seeds=2, draw=0, lost=(), models=MODELS):
    """Models a little better one than the next on every data set."""
    rng = np.random.default_rng(draw)
    rows = []
    for place in range(n):
        hard = rng.normal(0, 0.1)
        for level, model in enumerate(models):
            for seed in range(seeds):
                if (place, model) in lost:
                    continue
                row = trial(model, "{}", 1.0, seed, dataset=f"set {place:02d}", sweep="s")
                row["trial_id"] += str(place)
                value = 0.7 + hard + 0.02 * level + rng.normal(0, 0.03)
                rows.append(row | {"metric": "test/macro_f1", "value": value})
    return pd.DataFrame(rows)


def wide(table):
    return table.pivot_table(index="dataset", columns="model", values="value")


def test_friedman_is_scipys_and_nemenyi_is_scikit_posthocs():
    table = many_datasets()
    found, means = ranking(table), wide(table)
    theirs = stats.friedmanchisquare(*means.to_numpy().T)
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(means.to_numpy())
    pairs.index = pairs.columns = means.columns
    order = list(found.ranks.index)
    assert found.pairs.to_numpy() == pytest.approx(pairs.loc[order, order].to_numpy(), abs=1e-6)


def test_ranks_and_critical_difference_are_autoranks():
    """Its 1.3.0, frequentist and nonparametric; it installs a package `tests`, so is not here."""
    values = np.random.default_rng(0).normal(size=(15, 4)).round(3)
    table = many_datasets(n=15, seeds=1).sort_values(["dataset", "model"])
    found = ranking(
        table.assign(value=values.ravel()).replace(
            {"model": dict(zip(MODELS, "abcd", strict=True))}
        )
    )
    assert found.critical_difference == pytest.approx(1.2110455722915183, rel=1e-3)
    theirs = {"a": 3.0, "b": 2.1333333333333333, "c": 2.6666666666666665, "d": 2.2}
    assert found.ranks.to_dict() == pytest.approx(theirs)


def test_critical_difference_is_demsars():
    """Demsar 2006, section 3.2.2: four classifiers, fourteen data sets, 2.569 sqrt(20/84)."""
    assert ranking(many_datasets(n=14)).critical_difference == pytest.approx(1.25, abs=0.005)


def test_groups_are_models_within_the_critical_difference():
    found = ranking(many_datasets())
    for group in found.groups():
        assert found.ranks[group[-1]] - found.ranks[group[0]] < found.critical_difference
        assert found.pairs.loc[group[0], group[-1]] > 0.05
    together = {frozenset(g) for g in found.groups()}
    for i, first in enumerate(MODELS):
        for second in MODELS[i + 1 :]:
            alike = found.pairs.loc[first, second] > 0.05
            assert alike == any({first, second} <= group for group in together)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_neither_names_nor_the_order_of_rows_matter(random):
    table = many_datasets(n=6, draw=random.randrange(100))
    order = random.sample(range(len(table)), len(table))
    other = dict(zip(MODELS, ["zoe", "yan", "xia", "wu"], strict=True))
    before, after = ranking(table), ranking(table.iloc[order].replace({"model": other}))
    assert after.p == before.p
    renamed = before.pairs.rename(index=other, columns=other)
    names = sorted(other.values())
    assert after.pairs.loc[names, names].to_numpy() == pytest.approx(
        renamed.loc[names, names].to_numpy()
    )


def test_data_sets_that_a_model_lacks_are_left_out_and_named():
    found = ranking(many_datasets(n=5, lost={(2, "cy")}))
    assert len(found.datasets) == 4
    assert "set 02" in found.note
    assert "rough" in found.note


def test_two_models_are_for_compare():
    with pytest.raises(ValueError, match="compare two models"):
        ranking(many_datasets(models=MODELS[:2]))


def test_the_diagram_names_every_model_and_the_difference():
    found = ranking(many_datasets())
    drawn = svg(diagram(found))
    ElementTree.fromstring(drawn)
    for model in MODELS:
        assert model in drawn
    assert f"critical difference {found.critical_difference:.2f}" in drawn


def test_the_smallest_error_ranks_first():
    table = many_datasets()
    errors = table.assign(metric="test/mse")
    assert list(ranking(errors, "test/mse").ranks.index) == list(ranking(table).ranks.index)[::-1]
