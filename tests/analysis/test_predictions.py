"""What single cells say: derivatives, variances and counts, and predictions that do not fit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from analysis.design import Design
from analysis.offered import OFFERED, Scores
from analysis.predictions import SCORES, CellByCell, cell_by_cell, kept_in, within_classes
from analysis.significance import COLUMNS, compare
from tests.analysis.conftest import only, predicted_table

labels = st.lists(st.integers(0, 3), min_size=6, max_size=40)
THEIRS = {
    "accuracy": lambda t, s, w: accuracy_score(t, s, sample_weight=w),
    "macro_f1": lambda t, s, w: f1_score(
        t, s, sample_weight=w, labels=np.unique(t), average="macro", zero_division=0
    ),
    "macro_precision": lambda t, s, w: precision_score(
        t, s, sample_weight=w, labels=np.unique(t), average="macro", zero_division=0
    ),
    "macro_recall": lambda t, s, w: recall_score(
        t, s, sample_weight=w, labels=np.unique(t), average="macro", zero_division=0
    ),
}


@pytest.mark.parametrize("name", SCORES)
@given(labels, st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_influence_is_the_derivative_of_scikit_learns_score(name, truth, random):
    truth = np.array(truth)
    said = np.array([t if random.random() < 0.6 else random.randrange(5) for t in truth])
    value, adds = SCORES[name](truth, said)
    assert value == pytest.approx(THEIRS[name](truth, said, None))
    for cell in range(0, len(truth), 5):
        weight = np.ones(len(truth))
        weight[cell] += 1e-6
        slope = (THEIRS[name](truth, said, weight) - value) / 1e-6
        assert adds[cell] == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1"])
def test_the_variance_is_that_of_drawing_cells_again(name):
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [200, 120, 60])
    arms = [np.where(rng.random(380) < 0.7, truth, rng.integers(0, 3, 380)) for _ in range(2)]
    (_, adds_a), (_, adds_b) = (SCORES[name](truth, said) for said in arms)
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([rng.choice(np.flatnonzero(truth == k), (truth == k).sum())
                               for k in range(3)])  # fmt: skip
        a, b = (SCORES[name](truth[rows], said[rows])[0] for said in arms)
        drawn.append(a - b)
    assert (within_classes(adds_a - adds_b, truth) ** 2).sum() == pytest.approx(
        np.var(drawn), rel=0.1
    )


def test_seeds_and_cells_are_told_apart():
    """Two arms that differ by seeds' luck alone, on many cells: overlap has nothing to correct."""
    table, predictions = predicted_table(cells=4000, luck=0.05)
    with_cells = compare(table, "a", "b", "test/accuracy", predictions=predictions).iloc[0]
    without = compare(table, "a", "b", "test/accuracy").iloc[0]
    plain = compare(table, "a", "b", "test/accuracy", test="paired").iloc[0]
    assert (with_cells["test"], without["test"]) == ("seeds-and-cells", "nadeau-bengio")
    assert plain["p"] < with_cells["p"] < without["p"]
    few, predictions = predicted_table(cells=60, luck=0.0)
    assert (
        compare(few, "a", "b", "test/accuracy", predictions=predictions).iloc[0]["p"]
        >= compare(few, "a", "b", "test/accuracy", test="paired").iloc[0]["p"]
    )


def test_a_fixed_test_set_leaves_its_cells_open():
    table, predictions = predicted_table(cells=300, protocol="fixed test set, 10%")
    asked = {"metric": "test/macro_f1", "predictions": predictions}
    others = compare(table, "a", "b", **asked).iloc[0]
    these = compare(table, "a", "b", metric="test/macro_f1").iloc[0]
    assert (others["test"], these["test"]) == ("seeds-and-cells", "paired")
    assert "these test cells only" in these["why"]
    assert others["ci_low"] < these["ci_low"]


def test_mcnemar_is_asked_of_accuracy_and_of_kept_predictions():
    table, predictions = predicted_table(cells=300)
    row = compare(table, "a", "b", "test/accuracy", test="mcnemar", predictions=predictions)
    assert 0 <= row.iloc[0]["p"] <= 1
    assert "trained models" in row.iloc[0]["note"]
    f1 = compare(table, "a", "b", test="mcnemar", predictions=predictions).iloc[0]
    assert np.isnan(f1["p"])
    assert "ask for test/accuracy" in f1["note"]
    blind = compare(table, "a", "b", "test/accuracy", test="mcnemar").iloc[0]
    assert "no predictions of test cells" in blind["note"]


def test_one_seed_is_enough_for_mcnemar_and_for_no_other():
    table, predictions = predicted_table(cells=300, seeds=1)
    asked = {"metric": "test/accuracy", "predictions": predictions}
    assert compare(table, "a", "b", **asked, test="mcnemar").iloc[0]["p"] >= 0
    assert np.isnan(compare(table, "a", "b", **asked).iloc[0]["p"])


SPOILT = {
    "value": (lambda found: found, r"trial a0 recorded test/macro_f1 = 0\.\d+, and its own"),
    "cells": (lambda found: found.iloc[1:], "a1 and b1 of one seed were tested on different cells"),
    "truth": (lambda found: found.assign(truth=found["truth"].replace("B", "X")), "other labels"),
    "twice": (lambda found: found.iloc[[0, *range(len(found))]], "trial a1 have the cell '.*' twi"),
    "empty": (lambda found: found.assign(predicted=None), "trial a1 have empty places"),
    "columns": (lambda found: found.drop(columns="truth"), "trial a1 have no column 'truth'"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_predictions_that_do_not_fit_are_an_error_that_names_the_trial(spoil):
    table, predictions = predicted_table(cells=100)
    change, told = SPOILT[spoil]
    if spoil == "value":
        table["value"] += 0.01

    def spoilt(trial_id):
        found = predictions(trial_id)
        return change(found) if trial_id == "a1" else found

    with pytest.raises(ValueError, match=told):
        compare(table, "a", "b", predictions=spoilt)
    assert compare(table, "a", "b", test="paired", predictions=spoilt).iloc[0]["n"] == 5


def test_without_predictions_scores_alone_are_compared_and_a_lost_file_is_told():
    table, predictions = predicted_table(cells=100)
    without = only(compare(table, "a", "b", predictions=lambda trial_id: None))
    assert without["test"] == "nadeau-bengio"
    assert "kept no predictions" not in without["note"]
    lost = compare(table, "a", "b", predictions=lambda i: None if i == "b3" else predictions(i))
    assert only(lost)["test"] == "nadeau-bengio"
    assert "trial b3 kept no predictions of its test cells" in only(lost)["note"]


def test_both_definitions_of_a_macro_average_are_recognised():
    """The papers average over classes of truth or prediction, so that absent ones count."""
    table, predictions = predicted_table(cells=100)

    def strange(trial_id):
        found = predictions(trial_id).copy()
        found.loc[found.index[0], "predicted"] = "N"
        return found

    for at, row in table.iterrows():
        cells = strange(row["trial_id"])
        theirs = f1_score(cells["truth"], cells["predicted"], average="macro", zero_division=0)
        accuracy = (cells["truth"] == cells["predicted"]).mean()
        table.loc[at, "value"] = theirs if row["metric"] == "test/macro_f1" else accuracy
    found = only(compare(table, "a", "b", predictions=strange))
    assert found["test"] == "seeds-and-cells"
    assert np.isfinite(found["p"])


def test_predictions_are_read_from_where_trials_keep_them(tmp_path):
    (tmp_path / "artifacts" / "t1").mkdir(parents=True)
    kept = pd.DataFrame({"cell": ["x"], "truth": ["B"], "predicted": ["T"]})
    kept.to_parquet(tmp_path / "artifacts" / "t1" / "predictions.parquet")
    assert kept_in(tmp_path)("t1").equals(kept)
    assert kept_in(tmp_path)("t2") is None


def test_without_shared_seeds_nothing_is_said_of_cells():
    assert cell_by_cell("test/accuracy", *[pd.DataFrame({"value": []})] * 2, lambda _: None) is None


@given(st.randoms(use_true_random=False), st.sampled_from(["auto", "mcnemar", "seeds-and-cells"]))
@settings(max_examples=10, deadline=None)
def test_neither_names_nor_the_order_of_rows_or_cells_matter(random, test):
    table, predictions = predicted_table(cells=80, draw=random.randrange(1000))

    def shuffled(trial_id):
        return predictions(trial_id).sample(frac=1, random_state=random.randrange(1000))

    order = random.sample(range(len(table)), len(table))
    renamed = table.iloc[order].replace({"model": {"a": "zebra", "b": "ant"}})
    asked = {"metric": "test/accuracy", "test": test}
    before = compare(table, "a", "b", **asked, predictions=predictions).iloc[0]
    after = compare(renamed, "zebra", "ant", **asked, predictions=shuffled).iloc[0]
    same = [name for name in COLUMNS if name not in {"a", "b", "note"}]
    pd.testing.assert_series_equal(before[same], after[same], check_names=False)


def test_one_difference_at_every_seed_is_no_certainty_where_splits_differ():
    """Two seeds that happen to agree have no spread, and a spread of none is not to be believed."""
    apart = Scores(
        np.array([0.8, 0.9]), np.array([0.7, 0.8]), "test/accuracy", Design("random", 0.2),
        CellByCell(np.full((2, 2), 1e-4), *np.full((3, 2), 20.0), np.full(2, 1e-5)),
    )  # fmt: skip
    assert "the same difference on every seed" in str(OFFERED["seeds-and-cells"].refused(apart))
    fixed = replace(apart, design=Design("fixed"))
    assert OFFERED["seeds-and-cells"].refused(fixed) is None  # its cells are enough to vary


@pytest.mark.parametrize(("class_cells", "more"), [(300, 1.01), (6, 1.5)])
def test_splits_leave_what_lies_midway_and_more_where_a_class_is_rare(class_cells, more):
    """Between what models have in common, and what they would have were they alike."""
    counts, rarity = np.full((3, 3), 20.0), np.full(3, 4e-4 / class_cells)
    cells = CellByCell(np.diag([3e-4] * 3) + 1e-4, *counts, rarity)
    a, b = np.array([0.80, 0.81, 0.82]), np.array([0.75, 0.77, 0.76])
    for metric in ("test/accuracy", "test/macro_f1"):
        scores = Scores(a, b, metric, Design("random", 0.2), cells)
        floor = OFFERED["seeds-and-cells"].estimate(scores).floor
        assert floor == pytest.approx(more * (1e-4 + 0.2 * 4e-4) / 2)


def test_a_rare_class_counts_by_what_the_score_hangs_on_it():
    """Of accuracy all cells count alike; of macro F1 the few cells of the rare class more."""
    truth = np.repeat(["common", "rare"], [90, 10])
    rng = np.random.default_rng(0)
    said = [np.where(rng.random(100) < 0.8, truth, rng.permutation(truth)) for _ in range(2)]
    of_cells = [
        pd.DataFrame({"cell": range(100), "truth": truth, "predicted": one}) for one in said
    ]
    found = {}
    for metric in ("accuracy", "macro_f1"):
        codes = [(one == "rare").astype(int) for one in (truth, *said)]
        values = [SCORES[metric](codes[0], one)[0] for one in codes[1:]]
        rows = [pd.DataFrame({"trial_id": [i], "value": [values[i]]}) for i in range(2)]
        seen = cell_by_cell(f"test/{metric}", *rows, of_cells.__getitem__)
        found[metric] = float(seen.class_cells)
    assert 10 < found["macro_f1"] < 20 < found["accuracy"] < 90
