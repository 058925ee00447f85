"""Workers that are handed handful after handful: few of them, every trial once, none idle."""

from collections import Counter

import pytest
from ray.tune.search import Searcher

from orchestrator import dealing
from orchestrator.costs import Costs
from orchestrator.dealer import Dealer
from orchestrator.execute import Done, record_of
from trainables.trial import Trial


@pytest.fixture
def dealer(tmp_path, monkeypatch):
    """Return what makes a dealer of so many trials on a Ray of so many cores."""
    monkeypatch.setattr(dealing, "HANDFUL", 0.0)
    monkeypatch.setattr(dealing, "LEAST", 0.0)

    def make(trials, cores=2, **how):
        monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": float(cores)})
        table = {t.id: t for t in (Trial("mean", "annotation", "toy", s) for s in range(trials))}
        wanted = {("mean", "annotation"): [{"CPU": 1.0}]}
        ended = Counter()

        def watch(what, trial, record):
            ended[trial.id] += what == "ended"

        made = Dealer(table, wanted, tmp_path, "test", watch, how.get("at_once"), Costs())
        return made, ended

    return make


def run(dealer, ids):
    """What a worker does: a record for each trial of a handful."""
    for i in ids:
        done = Done("ok", cost={"wall_s": 0.1})
        dealer.ledger.commit(record_of(dealer.table[i], done, "test"))


class Tune:
    """Ray Tune, as far as a dealer sees it: so many places for workers, the others are pending."""

    def __init__(self, dealer, places):
        self.dealer, self.places, self.suggested = dealer, places, 0
        self.pending, self.running = [], {}

    def grow(self):
        """Take what workers the dealer wants, and start those that have a place."""
        while (config := self.dealer.suggest(f"{self.suggested}")) not in (None, Searcher.FINISHED):
            assert config == {"place": 0}
            self.pending.append(f"{self.suggested}")
            self.suggested += 1
        while self.pending and len(self.running) < self.places:
            worker = self.pending.pop(0)
            self.running[worker] = self.dealer.begin(worker)

    def step(self, dies=()):
        """Let every worker run its handful."""
        for worker, handful in list(self.running.items()):
            if handful is None:
                del self.running[worker]
                self.dealer.on_trial_complete(worker)
            elif handful[0][0] in dies:
                del self.running[worker]
                self.dealer.end(worker, died_of="SIGKILL")
            else:
                run(self.dealer, handful[0])
                self.running[worker] = self.dealer.go_on(worker)

    def over(self):
        self.grow()
        return not self.running and not self.pending


def emptied(tune, **how):
    steps = 0
    while not tune.over():
        tune.step(**how)
        steps += 1
        assert steps < 2000, "it does not end"
    assert tune.dealer.suggest("one more") == Searcher.FINISHED
    return steps


def test_few_workers_run_many_handfuls(dealer):
    made, ended = dealer(300)
    tune = Tune(made, 2)
    steps = emptied(tune)
    assert ended == dict.fromkeys(made.table, 1)
    assert tune.suggested <= 4, "Tune remembers every one of them"
    assert steps <= 160, "both workers have something to do to the end"


def test_pending_workers_get_the_last_trials_and_none_is_wanted_for_nothing(dealer):
    made, ended = dealer(6, cores=2)
    tune = Tune(made, 1)  # of two places only one is free
    tune.grow()
    assert len(tune.pending) == 2
    emptied(tune)
    assert tune.suggested == 3
    assert ended.total() == 6
    few, _ = dealer(2, cores=64)
    tune = Tune(few, 0)
    tune.grow()
    assert len(tune.pending) == 2, "no more workers than trials"


def test_a_worker_that_dies_is_replaced_and_its_trial_is_tried_three_times(dealer):
    made, ended = dealer(40)
    victim = list(made.table)[7]
    tune = Tune(made, 2)
    emptied(tune, dies={victim})
    assert ended == dict.fromkeys(made.table, 1)
    assert made.ledger.last(victim)["reason"] == "its worker died 3 times: SIGKILL"
    assert tune.suggested <= 8


def test_workers_that_never_start_are_not_tried_for_ever(dealer):
    made, ended = dealer(2)
    tries = 0
    while (made.suggest(f"{tries}")) != Searcher.FINISHED:
        made.end(f"{tries}", died_of="the actor did not start")
        tries += 1
        assert tries <= 6
    assert ended == dict.fromkeys(made.table, 1)
    assert {made.ledger.last(i)["status"] for i in made.table} == {"failed"}


def test_no_more_workers_than_may_run_at_once(dealer):
    made, _ = dealer(50, cores=8, at_once=3)
    tune = Tune(made, 8)
    tune.grow()
    assert len(tune.running) == 3
    emptied(tune)
