"""Failed trials are run again as their sweep runs them."""

import contextlib
from types import SimpleNamespace

import pytest

from orchestrator import driver, launch
from orchestrator.costs import Costs
from orchestrator.driver import retry
from orchestrator.early import Judge
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from search_spaces.spaces import grid
from trainables.trial import Trial

TINY = {"dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "ff_mult": 1, "n_genes": 30}
TINY |= {"weights": "none", "gene2vec": False, "epochs": 2, "batch": 9}


@pytest.fixture
def launched(monkeypatch):
    """What the driver would have Ray run, and how; nothing is run."""
    calls = []
    nothing = lambda *told, **how: contextlib.nullcontext()  # noqa: E731
    mirroring = contextlib.nullcontext()
    mirroring.trouble = ""
    monkeypatch.setattr(driver, "Mirroring", lambda syncer: mirroring)
    monkeypatch.setattr(driver, "Syncer", nothing)
    monkeypatch.setattr(launch, "connected", nothing)
    monkeypatch.setattr(launch, "room", lambda *told: (lambda trial: {"CPU": 1.0}, {"CPU": 2.0}))
    monkeypatch.setattr(
        launch, "launch", lambda trials, storage, **how: calls.append((trials, how))
    )
    return calls


def ended(storage, trial, status, history=()):
    done = Done(status, "why", history=list(history), cost=dict.fromkeys(COSTS, 0.1))
    Ledger(storage).commit(record_of(trial, done, "test"))


def test_as_many_processes_as_the_sweep_has_share_what_is_retried(launched, tmp_path):
    models = {"scbert": TINY, "mean": {}}
    sweep = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0], name="s",
                  models=models, processes=2)  # fmt: skip
    planned = plan(sweep, tmp_path)
    write_manifest(tmp_path, planned.manifest())
    for trial in planned.trials:
        ended(tmp_path, trial, "failed" if trial.model == "scbert" else "ok")
    retry("s", tmp_path, time_limit=7.0)
    [(trials, how)] = launched
    assert [trial.model for trial in trials] == ["scbert"]
    assert (how["processes"], how["time_limit"], how["judge"]) == (2, 7.0, None)


def test_what_is_retried_is_stopped_like_the_rest_of_its_sweep(launched, tmp_path, monkeypatch):
    models = {"logreg": {"C": grid([10.0, 1.0, 0.1])}}
    sweep = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0, 1], name="s",
                  models=models, stopper="asha")  # fmt: skip
    planned = plan(sweep, tmp_path)
    write_manifest(tmp_path, planned.manifest())
    leads, others = ([t for t in planned.trials if t.seed == seed] for seed in (0, 1))
    for trial, value in zip(leads, (0.9, 0.5, 0.7), strict=True):
        status = "pruned" if value == 0.5 else "ok"
        ended(tmp_path, trial, status, [{"epoch": 1, "valid/macro_f1": value}])
    for trial in others:
        ended(tmp_path, trial, "failed")
    retry("s", tmp_path)
    [(trials, how)] = launched
    assert trials == others
    here = lambda cls: SimpleNamespace(remote=cls)  # noqa: E731
    monkeypatch.setattr("ray.remote", lambda **options: here)
    judge = how["judge"]()
    assert isinstance(judge, Judge)
    assert [judge.hear(trial.id, {}) for trial in others] == ["", "why", ""]


@pytest.mark.parametrize("said", ["The actor died.", "ray.exceptions.OutOfMemoryError: killed"])
def test_a_trial_lost_with_its_workers_says_how_many_shared_it(said, tmp_path, monkeypatch):
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 4.0})
    trial = Trial("scbert", "annotation", "toy", 0, model_params=TINY)
    wanted = {("scbert", "annotation"): [{"CPU": 1.0}] * 2}
    told = lambda *told: None  # noqa: E731
    dealer = launch.Dealer({trial.id: trial}, wanted, tmp_path, "test", told, None, Costs())
    for attempt in range(3):
        assert dealer.suggest(f"{attempt}") == {"place": 0}
        assert dealer.begin(f"{attempt}") == ([trial.id], attempt > 0)
        dealer.end(f"{attempt}", died_of=said)
    ledger = Ledger(tmp_path)
    assert ledger.last(trial.id)["reason"].startswith("its worker died 3 times: ")
    attempts = ledger.attempts(trial.id)
    assert {ledger.last(trial.id)["processes"]} == {2}
    assert len(attempts) == (2 if "OutOfMemory" in said else 1)


def test_what_only_leaves_out_is_not_counted_as_known(launched, tmp_path):
    seen = []

    class Shown(driver.Silent):
        def begin(self, trials, missing, left_out=0, unable=0):
            seen.append((len(trials), len(missing), left_out))

    sweep = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0, 1], name="s",
                  models={"mean": {}, "logreg": {}})  # fmt: skip
    ran = driver.run(sweep, tmp_path, only="mean", display=Shown())
    assert seen == [(4, 2, 2)]
    assert ran.left_out == 2
