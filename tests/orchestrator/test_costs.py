"""What trials will take, by what trials took."""

import math

import numpy as np

from orchestrator.costs import Cost, Costs, learn, learned, makespan, together
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.planning import plan
from orchestrator.records import Ledger
from trainables.trial import Trial


def ran(model, seconds, seed=0, fraction=1.0, sha256="a" * 64):
    """The record of a trial that took so long."""
    trial = Trial(model, "annotation", "toy", seed, fraction, dataset_sha256=sha256)
    return record_of(trial, Done(cost=dict.fromkeys(COSTS, seconds)), "test")


def of(costs, model, fraction=1.0, sha256="a" * 64):
    return costs.of(Trial(model, "annotation", "toy", 99, fraction, dataset_sha256=sha256))


def test_a_model_that_was_never_run_has_no_cost():
    costs = Costs()
    learn(costs, ran("mean", 2.0))
    assert of(costs, "logreg") is None
    assert math.isclose(of(costs, "mean").centre, math.log(2))


def test_other_sizes_are_told_by_a_line_through_the_known_ones():
    sizes = {"a" * 64: math.log(1e4), "b" * 64: math.log(1e6), "c" * 64: math.log(1e5)}
    costs = Costs(size=sizes.get)
    for seed in range(5):
        learn(costs, ran("logreg", 1.0, seed))
        learn(costs, ran("logreg", 1000.0, seed, sha256="b" * 64))
    between = of(costs, "logreg", sha256="c" * 64)
    assert 25 < math.exp(between.centre) < 40, "a slope of 1.5, so the root of 1000"
    assert between.known_to > of(costs, "logreg").known_to


def test_intervals_hold_as_often_as_they_say():
    """Sums of log-normal costs, learned from few, on made-up sweeps."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        costs = Costs()
        model_seconds = {"mean": 0.5, "logreg": 20.0}
        for model, typical in model_seconds.items():
            for seed, noise in enumerate(rng.normal(0, 0.4, 6)):
                learn(costs, ran(model, typical * math.exp(noise), seed))
        _, low, high = together((of(costs, model), 20) for model in model_seconds)
        drawn = [t * np.exp(rng.normal(0, 0.4, 20)) for t in model_seconds.values()]
        held += low <= np.sum(drawn) <= high
    assert 0.82 < held / 400 < 0.97


def test_what_two_processes_share_says_nothing_of_one_alone():
    costs = Costs()
    learn(costs, ran("scgpt", 8.0))
    learn(costs, ran("scgpt", 5.0, seed=1) | {"processes": 2})
    assert math.isclose(of(costs, "scgpt").centre, math.log(8))
    shared = Costs(costs.alike, costs.models, processes=lambda trial: 2)
    assert math.isclose(of(shared, "scgpt").centre, math.log(5))
    assert of(Costs(costs.alike, costs.models, processes=lambda trial: 3), "scgpt") is None


def test_nothing_to_run_takes_nothing():
    assert together([]) == (0.0, 0.0, 0.0)
    assert together([(Cost(0.0, 0.0, 0.0, ""), 3)])[0] == 3.0


def test_a_plan_says_its_time_with_an_interval(tmp_path):
    assert plan("quickstart", tmp_path, seeds=2).estimate()["basis"] == "no records yet"
    for trial in plan("quickstart", tmp_path, seeds=2).trials:
        if trial.seed == 0:
            done = Done(cost=dict.fromkeys(COSTS, 3.0))
            Ledger(tmp_path).commit(record_of(trial, done, "test"))
    estimate = plan("quickstart", tmp_path, seeds=2).estimate()
    assert estimate["unknown"] == 0
    assert estimate["low"] < estimate["trial_seconds"] < estimate["high"]
    assert abs(estimate["trial_seconds"] - 16 * 3) < 6
    assert learned(tmp_path).alike


def test_a_makespan_is_the_work_over_the_workers_or_the_longest_trial():
    costs = Costs()
    for seed in range(200):  # so many that next to no doubt is left
        learn(costs, ran("mean", 2.0, seed))
    trials = [Trial("mean", "annotation", "toy", s, dataset_sha256="a" * 64) for s in range(40)]
    four = makespan(trials, costs, lambda trial: {"CPU": 1}, {"CPU": 4.0})
    assert math.isclose(four.predicted, 20, rel_tol=0.02)
    assert four.low < 20 < four.high
    many = makespan(trials, costs, lambda trial: {"CPU": 1}, {"CPU": 400.0})
    assert math.isclose(many.predicted, 2, rel_tol=0.02)
    new = Trial("logreg", "annotation", "toy", 0, dataset_sha256="a" * 64)
    assert makespan([new], costs, lambda trial: {"CPU": 1}, {"CPU": 1.0}).unknown == 1
