"""What was fixed before the first trial is told from what was thought of later."""

import pytest

from analysis.conclusion import fixed_beforehand
from orchestrator.planning import plan
from tests.analysis.conftest import scores_table

ASKED = {"a": "a", "b": "b", "metric": "test/macro_f1", "margin": 0.02}
TABLE = scores_table([0.8, 0.9], [0.7, 0.8])  # whose trials started on 2026-01-05


def manifest(created_at="2026-01-05T09:59:59Z", **changes):
    return {"created_at": created_at, "analysis": [ASKED | changes]}


def test_a_manifest_from_before_the_first_trial_fixes_its_questions():
    assert fixed_beforehand(ASKED, TABLE, [manifest()])
    assert fixed_beforehand(ASKED | {"a": "b", "b": "a"}, TABLE, [manifest()])
    later = manifest(created_at="2026-01-06T00:00:00Z")
    assert fixed_beforehand(ASKED, TABLE, [manifest(), later])
    assert not fixed_beforehand(ASKED, TABLE, [later])
    assert not fixed_beforehand(ASKED, TABLE, [])


@pytest.mark.parametrize(
    "other", [{"margin": 0.05}, {"margin": None}, {"metric": "test/accuracy"}, {"b": "c"}]
)
def test_another_question_is_exploratory(other):
    assert not fixed_beforehand(ASKED, TABLE, [manifest(**other)])


def test_no_margin_is_no_margin_in_tables_and_manifests():
    assert fixed_beforehand(ASKED | {"margin": float("nan")}, TABLE, [manifest(margin=None)])


def test_the_manifest_has_a_hash_of_its_questions(tmp_path):
    first, same = (plan("quickstart", tmp_path, seeds=n).manifest() for n in (1, 2))
    assert first["analysis_sha256"] == same["analysis_sha256"]
    assert len(first["analysis_sha256"]) == 64


def test_seeds_added_after_a_look_are_exploratory_and_by_a_rule_are_not():
    def planned(seeds, **rule):
        trials = {str(seed): {"seed": seed, "task": "annotation"} for seed in range(seeds)}
        return manifest() | {"task": "annotation", "trials": trials, **rule}

    rule = {"stopping": {"looks": [5, 10]}}
    assert fixed_beforehand(ASKED, TABLE, [planned(5), planned(5)])
    assert not fixed_beforehand(ASKED, TABLE, [planned(5), planned(10) | {"created_at": "2027"}])
    assert fixed_beforehand(ASKED, TABLE, [planned(5, **rule), planned(10, **rule)])
    other = {"stopping": {"looks": [5, 20]}}
    late = planned(5, **other) | {"created_at": "2027"}
    assert not fixed_beforehand(ASKED, TABLE, [planned(5, **rule), late])
