"""Several looks err no more often than one, and a family is answered look by look."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.conclusion import compared, seeds_wanted
from analysis.family import family
from analysis.looks import Look
from analysis.significance import compare
from benchmarks.designs import Arm, Centroids
from benchmarks.stopping import Independent, Resplit, run
from tests.analysis.conftest import sweep_table

EVENLY = (1, 2, 3, 4, 5)


def test_levels_are_those_of_published_tables():
    """Lan-DeMets boundaries of O'Brien and Fleming's kind, five looks, two-sided 5 %."""
    bounds = [stats.norm.isf(Look(i, EVENLY).level() / 2) for i in EVENLY]
    assert bounds == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


SUMS = np.random.default_rng(0).normal(size=(20_000, 60)).cumsum(-1)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=6, unique=True).map(sorted))
def test_all_that_is_spent_is_alpha(looks):
    """By simulation of what is tested: normal sums, whatever the looks are."""
    crossed = np.zeros(len(SUMS), bool)
    for i, n in enumerate(looks, 1):
        z = np.abs(SUMS[:, n - 1]) / np.sqrt(n)
        crossed |= 2 * stats.norm.sf(z) < Look(i, tuple(looks)).level(0.2)
    assert crossed.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 20_000))


@settings(deadline=None, max_examples=25)
@given(st.floats(1e-9, 0.4), st.integers(1, 4))
def test_a_p_value_decides_exactly_when_it_is_below_the_level(alpha, number):
    look = Look(number, (5, 10, 15, 20))
    level = look.level(alpha)
    assert look.two_sided(level) == pytest.approx(alpha, rel=1e-6)
    assert look.two_sided(level * 0.99) < alpha < look.two_sided(min(1.0, level * 1.01))


def test_one_look_changes_nothing():
    assert Look(1, (5,)).two_sided(0.031) == 0.031
    assert np.isnan(Look(2, (5, 10)).two_sided(float("nan")))


def test_peeking_errs_too_often_and_the_rule_does_not():
    sims = 500
    alike = Resplit("alike", (60, 60), Arm(Centroids(), 4, 1.5))
    found = run([Independent("independent"), alike], sims, seed=3)
    error = np.sqrt(0.05 * 0.95 / sims)
    for line in found:
        assert line.rule < 0.06 + 3 * error
        assert line.in_three < 0.06 / 3 + 3 * error
        assert line.peeking > line.rule
    assert max(line.peeking for line in found) > 0.1
    assert np.mean([line.rule for line in found]) > 0.025  # no rule that never decides


PLAN = [
    {"a": "logreg", "b": "mean", "metric": "test/macro_f1", "margin": 0.02},
    {"a": "logreg", "b": "pca+probe", "metric": "test/macro_f1", "margin": None},
]
ONE = {"logreg": [{}], "pca+probe": [{}], "mean": [{}]}
SKILL = {"logreg": 0.81, "pca+probe": 0.809, "mean": 0.05}


def topped(seeds, looks=(5, 10)):
    """Two alike models and a hopeless one, which has the seeds of the first look alone."""
    table = sweep_table(seeds, (1.0,), ONE, SKILL)
    stopping = {"seeds": list(range(looks[-1])), "looks": list(looks)}
    return table[(table["model"] != "mean") | (table["seed"] < looks[0])], stopping


def test_a_decided_comparison_stays_and_an_undecided_one_goes_on():
    table, stopping = topped(10)
    rows, _ = family(table, PLAN, stopping)
    assert rows["look"].tolist() == [1, 2]
    assert rows["n"].tolist() == [5, 10]
    assert rows["verdict"].tolist() == ["better", "undecided"]
    assert rows["level"].tolist() == [Look(i, (5, 10)).level() for i in (1, 2)]
    plain = compare(table, "logreg", "pca+probe")
    assert rows["p"].iloc[1] == Look(2, (5, 10)).two_sided(plain["p"].iloc[0])
    assert rows["ci_high"].iloc[1] > plain["ci_high"].iloc[0]


def test_seeds_beyond_a_look_are_not_peeked_at():
    stopping = topped(5)[1]
    table = topped(8)[0]
    first, _ = family(table[table["seed"] < 5], PLAN, stopping)
    between, _ = family(table, PLAN, stopping)
    assert first["look"].tolist() == [1, 1]
    pd.testing.assert_frame_equal(first, between)


def test_before_the_first_look_nothing_is_said():
    rows, unanswered = family(topped(4)[0], PLAN, topped(4)[1])
    assert rows["p"].isna().all()
    assert set(rows["note"]) == {"not all of the 5 seeds of the first look are tried"}
    assert not unanswered


def test_a_verdict_outlives_the_seeds_that_others_need():
    """Both arms of a decided pair may get more seeds for other pairs' sake."""
    table, stopping = topped(10)
    late = table["seed"].ge(5) & table["model"].eq("logreg") & table["metric"].eq("test/macro_f1")
    table.loc[late, "value"] = 0.05  # which would undo it
    more = sweep_table(10, (1.0,), ONE, SKILL).query("model == 'mean' and seed >= 5")
    rows, _ = family(pd.concat([table, more]), PLAN, stopping)
    assert rows.iloc[0][["look", "verdict"]].tolist() == [1, "better"]


@pytest.fixture
def storage(monkeypatch, tmp_path):
    """A storage that has the table of `topped`, as far as the conclusion is concerned."""

    def put(table, stopping, plan=PLAN):
        trials = {
            trial["trial_id"]: {"seed": trial["seed"], "task": trial["task"]}
            for trial in table.drop_duplicates("trial_id").to_dict("records")
        }
        manifest = {
            "sweep": "s", "created_at": "2026-01-01", "headline": "test/macro_f1",
            "task": "annotation", "analysis": plan, "models": ONE, "trials": trials,
        } | ({"stopping": stopping} if stopping else {})  # fmt: skip
        home = tmp_path / "sweeps" / "s"
        home.mkdir(parents=True, exist_ok=True)
        (home / "1.json").write_text(json.dumps(manifest))
        monkeypatch.setattr("analysis.conclusion.results", lambda *_: table)
        # its trials have no more than the conclusion looks at
        monkeypatch.setattr("orchestrator.manifests.fault", lambda found, folder: "")
        return tmp_path

    return put


def test_seeds_are_wanted_for_both_arms_of_what_is_undecided(storage):
    wanted = seeds_wanted(storage(*topped(5)), "s")
    where = ("pbmc68k_reduced", 1.0)
    assert wanted == {("logreg", *where): 10, ("pca+probe", *where): 10}
    assert seeds_wanted(storage(*topped(10)), "s") == {}


def asked(storage, a, b, **changes):
    words = {"dataset": None, "metric": None, "test": "auto", "margin": None, "correction": "holm"}
    return compared(storage, "s", a=a, b=b, **words | changes)


def test_a_part_of_the_family_is_adjusted_for_all_of_it(storage):
    two = sweep_table(5, (0.5, 1.0), ONE, SKILL)
    table = pd.concat(
        [two, two.assign(dataset="other", trial_id="o" + two["trial_id"], dataset_sha256="0")]
    )
    plan = [{**one, "margin": 0.02} for one in PLAN]
    whole, _ = family(table, plan)
    home = storage(table, None, plan)
    rows = asked(home, "logreg", "pca+probe", dataset="other")
    assert len(rows) == 2
    same = whole[(whole["b"] == "pca+probe") & (whole["dataset"] == "other")]
    assert rows["p_adjusted"].tolist() == same["p_adjusted"].tolist()
    assert rows["p_adjusted"].tolist() != rows["p"].tolist()
    assert rows["margin"].tolist() == [0.02, 0.02]  # as it was fixed beforehand
    assert not rows["exploratory"].any()
    turned = asked(home, "pca+probe", "logreg", dataset="other")
    assert turned["difference"].tolist() == (-rows["difference"]).tolist()
    assert turned["p_adjusted"].tolist() == rows["p_adjusted"].tolist()


@pytest.mark.parametrize(
    "change", [{"margin": 0.5}, {"metric": "test/accuracy"}, {"test": "welch"},
               {"correction": "none"}]
)  # fmt: skip
def test_another_question_is_a_family_of_its_own_and_exploratory(storage, change):
    home = storage(sweep_table(5, (1.0,), ONE, SKILL), None)
    assert asked(home, "logreg", "pca+probe", **change)["exploratory"].all()
    assert asked(home, "pca+probe", "mean")["exploratory"].all()
