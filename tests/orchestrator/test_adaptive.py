"""Settings suggested after what came of those before: the same ones wherever, never by a test."""

import dataclasses
import json
import math

import pytest

from orchestrator.adaptive import FIRST, next_round
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from search_spaces.spaces import choice, grid, loguniform

SPACE = {"C": loguniform(1e-3, 1e3), "folds": choice([3, 5, 10]), "solver": "fast"}
BEST = 20.0


def sweep(**changes):
    base = {"models": {"logreg": SPACE, "mean": {}}, "seeds": [0, 1], "draws": 30}
    about = {"title": "t", "task": "annotation", "datasets": ["toy"], "name": "s"}
    return Sweep(**about, **{**base, "search": "optuna", **changes})


def score(trial):
    """As if C=20 and folds=5 were best; seeds differ a little."""
    if trial.model == "mean":
        return 0.1
    C, folds = trial.model_params["C"], trial.model_params["folds"]
    off = math.log10(C / BEST) ** 2 / 10 + (folds != 5) * 0.2
    return 1.0 - off + 0.01 * trial.seed


def carried_out(storage, test=lambda trial: 0.5, rounds=99, status=lambda trial: "ok", **changes):
    """The plan after some rounds, whose trials are not run but made up."""
    planned = plan(sweep(**changes), storage)
    for _ in range(rounds):
        write_manifest(storage, planned.manifest())
        for trial in planned.to_run:
            metrics = {"valid/macro_f1": score(trial), "test/macro_f1": test(trial)}
            done = Done(status(trial), metrics=metrics if status(trial) == "ok" else {},
                        cost=dict.fromkeys(COSTS, 0.1))  # fmt: skip
            Ledger(storage).commit(record_of(trial, done, "test"))
        if (more := next_round(planned)) is None:
            break
        planned = more
    return planned


def settings(planned):
    """The settings of logreg in the order in which they were suggested."""
    trials = [t for t in planned.trials if t.model == "logreg" and t.seed == 0]
    return [(t.model_params["C"], t.model_params["folds"]) for t in trials]


def test_it_ends_nearer_to_the_best_than_as_many_random_draws(tmp_path):
    found = settings(carried_out(tmp_path))
    drawn = settings(plan(sweep(search=""), tmp_path))
    assert len(found) == len(drawn) == 30
    assert found[:FIRST] == drawn[:FIRST], "it begins with a random search's own draws"

    def near(some):
        return sum(abs(math.log10(C / BEST)) < 0.5 and folds == 5 for C, folds in some)

    assert near(found[FIRST:]) >= 2 * near(drawn[FIRST:]) + 3


def test_every_setting_meets_every_seed_and_arms_without_any_are_tried_once(tmp_path):
    trials = carried_out(tmp_path, draws=14).trials
    assert sum(t.model == "logreg" for t in trials) == 14 * 2
    assert sum(t.model == "mean" for t in trials) == 2


def test_no_test_score_decides_what_is_suggested(tmp_path):
    one = carried_out(tmp_path / "a", draws=18)
    other = carried_out(tmp_path / "b", draws=18, test=lambda t: 1 / t.model_params.get("C", 1))
    assert settings(one) == settings(other)


def test_after_a_kill_it_goes_on_as_if_nothing_had_been(tmp_path):
    whole = carried_out(tmp_path / "a", draws=22)
    carried_out(tmp_path / "b", draws=22, rounds=2)
    halfway = plan(sweep(draws=22), tmp_path / "b")
    assert FIRST < len(settings(halfway)) < 22
    assert halfway.summary()["search"] == {"by": "optuna", "settings": 14, "of": 22}
    assert settings(carried_out(tmp_path / "b", draws=22)) == settings(whole)
    again = plan(sweep(draws=22), tmp_path / "b")
    assert (again.to_run, next_round(again)) == ([], None)
    more = carried_out(tmp_path / "b", draws=26)  # and more draws go on from there
    assert settings(more)[:22] == settings(whole)
    assert len(settings(more)) == 26


def test_a_round_waits_for_all_its_trials_and_goes_on_without_those_that_failed(tmp_path):
    planned = plan(sweep(), tmp_path)
    assert next_round(planned) is None, "nothing has ended yet"
    lost = carried_out(
        tmp_path, draws=14, status=lambda t: "failed" if t.model_params.get("folds") == 3 else "ok"
    )
    assert len(settings(lost)) == 14
    nothing = carried_out(tmp_path / "b", status=lambda t: "not_applicable")
    assert len(settings(nothing)) == FIRST, "nobody asks for more of what does not apply"


def test_each_data_set_and_share_is_searched_on_its_own(tmp_path):
    planned = carried_out(tmp_path, fractions=[0.5, 1.0], draws=14)
    assert {study[2] for study in planned.searched} == {0.5, 1.0}
    assert all(len(some) == 4 for some in planned.searched.values())


def test_the_rule_is_hashed_and_the_suggestions_are_not(tmp_path):
    first, last = plan(sweep(draws=14), tmp_path), carried_out(tmp_path, draws=14)
    assert first.analysis() == last.analysis()
    assert first.analysis()["search"]["metric"] == "valid/macro_f1"
    assert (
        plan(sweep(draws=15), tmp_path).analysis()["analysis_sha256"]
        != first.analysis()["analysis_sha256"]
    )
    assert "search" not in plan(sweep(search=""), tmp_path).manifest()
    json.dumps(last.manifest())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"search": "optina"}, "no search 'optina'; did you mean 'optuna'"),
        ({"models": {"logreg": {"C": 1.0}}}, "nothing to search"),
        ({"models": {"logreg": {"C": grid([1.0, 2.0]), "folds": choice([3, 5])}}}, "use choice"),
        ({"task": "clustering", "models": {"pca": {"n_components": choice([5, 9])}}}, "no valid"),
        ({"stopper": "asho"}, "no stopper 'asho'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(changes, told, tmp_path):
    with pytest.raises((ValueError, LookupError), match=told):
        plan(dataclasses.replace(sweep(), **changes), tmp_path)


def test_a_search_is_asked_for_in_words(tmp_path):
    changed = sweep(search="").changed({"search": "optuna", "draws": 12, "stopper": "asha"})
    assert plan(changed, tmp_path).manifest()["search"]["draws"] == 12
