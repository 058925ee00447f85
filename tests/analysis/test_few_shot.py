"""Cells to parity: where curves cross, and what is said where they do not."""

import numpy as np
import pytest

from analysis.few_shot import cells_to_parity, reached
from tests.analysis.conftest import sweep_table

ALONE = {"logreg": [{}], "pca+probe": [{}], "mean": [{}]}


def table(**asked):
    return sweep_table(candidates=ALONE, **asked)


def test_the_crossing_is_where_the_means_say():
    """Curves rise by 0.05 a decade: a lead of 0.025 is half a decade of labels."""
    rows = cells_to_parity(
        table(seeds=40, skill={"logreg": 0.835, "pca+probe": 0.81, "mean": 0.05}),
        "logreg", "pca+probe",
    ).iloc[0]  # fmt: skip
    assert rows["cells_b"] == 560
    assert rows["cells"] == pytest.approx(560 / 10**0.5, rel=0.25)
    assert rows["low"] < 560 / 10**0.5 < rows["high"]


def test_what_no_number_of_labels_reached_is_infinite():
    rows = cells_to_parity(table(), "mean", "logreg").iloc[0]
    assert np.isinf([rows["cells"], rows["low"], rows["high"]]).all()
    few = cells_to_parity(table(), "logreg", "mean").iloc[0]
    assert few["cells"] == few["low"] == few["high"] == 56


def test_more_seeds_make_the_interval_narrower():
    def width(seeds):
        found = cells_to_parity(table(seeds=seeds), "logreg", "pca+probe").iloc[0]
        return np.log(found["high"] / found["low"])

    assert width(60) < width(6)


def test_the_order_of_rows_does_not_matter():
    ordered = table()
    shuffled = ordered.sample(frac=1, random_state=1)
    one, other = (cells_to_parity(t, "logreg", "pca+probe") for t in (ordered, shuffled))
    assert one.equals(other)


def test_an_error_falls_where_a_score_rises():
    scores = table()
    errors = scores.assign(
        metric=scores["metric"].str.replace("macro_f1", "mse"), value=1 - scores["value"]
    )
    one = cells_to_parity(scores, "logreg", "pca+probe").iloc[0]
    other = cells_to_parity(errors, "logreg", "pca+probe", "test/mse").iloc[0]
    assert other["target"] == pytest.approx(1 - one["target"])
    same = ["cells", "low", "high", "cells_b"]
    assert other[same].tolist() == pytest.approx(one[same].tolist())


def test_one_label_share_has_no_curve():
    with pytest.raises(LookupError, match="two label shares"):
        cells_to_parity(table(fractions=(1.0,)), "logreg", "pca+probe")


def test_a_target_between_two_points_is_interpolated():
    cells, curve = np.array([10.0, 100.0, 1000.0]), np.array([0.5, 0.7, 0.6])
    assert reached(cells, curve, 0.6) == pytest.approx(10**1.5)
    assert reached(cells, curve, 0.7) == pytest.approx(100)
