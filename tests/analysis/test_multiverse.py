"""What hangs on a choice: verdicts asked otherwise, and what part of the scatter arms share."""

import numpy as np
import pytest

from analysis import report
from analysis.multiverse import PLANNED, multiverse, survival
from analysis.sensitivity import variance_components
from analysis.significance import compare
from tests.analysis.conftest import scores_table, sweep_table

ONE = {"logreg": [{}], "pca+probe": [{}], "mean": [{}]}


def test_the_first_way_is_the_comparison_itself():
    table = sweep_table(fractions=(0.5, 1.0))
    rows = multiverse(table, "logreg", "pca+probe", margin=0.02)
    plain = compare(table, "logreg", "pca+probe", margin=0.02)
    planned = rows[rows["way"] == PLANNED].reset_index(drop=True)
    assert planned["p_adjusted"].tolist() == plain["p_adjusted"].tolist()
    ways = set(rows["way"])
    assert {"metric accuracy", "test welch", "correction none", "without seed 4"} <= ways


def test_what_everyone_finds_survives_all_ways_and_a_close_call_does_not():
    clear = survival(multiverse(sweep_table(10, (1.0,), ONE), "logreg", "mean")).iloc[0]
    assert clear["verdict"] == "better"
    assert clear["n_agree"] == clear["n_ways"] >= 15
    assert clear["otherwise"] == ""
    a = np.array([0.80, 0.81, 0.84, 0.80, 0.83])
    close = scores_table(a, a - [0.004, 0.003, 0.005, 0.004, 0.001])
    row = survival(multiverse(close, "a", "b")).iloc[0]
    assert 0 < row["n_agree"] < row["n_ways"]
    assert "test student" in row["otherwise"] or row["verdict"] == "undecided"
    assert "permutation" in row["otherwise"]  # five seeds cannot reach 0.05


def test_components_are_those_of_a_mixed_model():
    """REML by statsmodels, whose estimates are the moments' where the design is whole."""
    import statsmodels.formula.api as smf

    rng = np.random.default_rng(2)
    split = 0.03 * rng.normal(size=12)
    arms = [0.8 + shift + split + 0.01 * rng.normal(size=12) for shift in (0, 0.05)]
    table = scores_table(*arms, metric="test/accuracy")
    found = variance_components(table).iloc[0]
    long = table[["model", "seed", "value"]]
    fit = smf.mixedlm("value ~ model", long, groups=long["seed"]).fit(reml=True)
    assert found["shared_sd"] ** 2 == pytest.approx(float(fit.cov_re.iloc[0, 0]), rel=1e-3)
    assert found["own_sd"] ** 2 == pytest.approx(float(fit.scale), rel=1e-3)
    assert found["share"] > 0.7


def test_nothing_shared_is_no_negative_variance():
    table = scores_table([0.7, 0.8, 0.7, 0.8], [0.8, 0.7, 0.8, 0.7], metric="test/accuracy")
    assert variance_components(table).iloc[0][["shared_sd", "share"]].tolist() == [0, 0]


def test_a_page_folds_the_ways_away(tmp_path):
    table = sweep_table(5, (1.0,), ONE)
    page = report(
        *(table, [{"a": "logreg", "b": "pca+probe"}], tmp_path / "r.html"), title="t", sweep="s"
    ).read_text()
    fold = page[page.index("<details><summary>Would it be another verdict") :]
    assert " of 1" in fold[: fold.index("</details>")]
    assert "What makes seeds scatter?" in page
