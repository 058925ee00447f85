"""Settings that fall behind are stopped; arms never stop each other, and seeds stay together."""

import json
import textwrap

import pytest

from analysis import results
from analysis.fairness import budgets
from analysis.selection import choose_on_validation
from orchestrator.early import Judge, entrants
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from search_spaces.spaces import grid

SETTINGS = [10.0, 1.0, 0.1, 0.01]


def sweep(**changes):
    models = {"logreg": {"C": grid(SETTINGS)}, "pca+probe": {"embedder.n_components": 5}}
    base = {"models": models, "seeds": [0, 1], "stopper": "asha", "datasets": ["toy"]}
    return Sweep(title="t", task="annotation", name="s", **{**base, **changes})


def told(epoch, value):
    return {"epoch": epoch, "valid/macro_f1": value, "train/loss": 1.0}


def heard(judge, trials, values):
    """What the judge says to the trials of one epoch."""
    return [bool(judge.hear(t.id, told(1, v))) for t, v in zip(trials, values, strict=True)]


def test_a_setting_behind_is_stopped_with_all_its_seeds():
    trials = sweep().trials()
    first, second = ([t for t in trials if t.model == "logreg" and t.seed == s] for s in (0, 1))
    judge = Judge("valid/macro_f1", entrants("annotation", trials), [])
    assert heard(judge, first, [0.9, 0.8, 0.95, 0.1]) == [False, True, False, True]
    assert [bool(judge.hear(t.id, {})) for t in second] == [False, True, False, True]
    assert not any(heard(judge, [second[0]], [0.0])), "another seed's score judges no setting"
    other = next(t for t in trials if t.model == "pca+probe")
    assert not judge.hear(other.id, told(1, 0.0)), "arms never stop each other"
    assert not judge.hear("weights", told(1, 0.0))


def test_after_a_kill_the_records_are_told_again():
    trials = sweep().trials()
    first, second = ([t for t in trials if t.model == "logreg" and t.seed == s] for s in (0, 1))
    ended = []
    for trial, status, value in [(first[0], "ok", 0.9), (first[1], "pruned", 0.5)]:
        done = Done(status, "behind", history=[told(1, value)], cost=dict.fromkeys(COSTS, 0.1))
        ended.append(record_of(trial, done, "test"))
    judge = Judge("valid/macro_f1", entrants("annotation", trials), ended)
    assert judge.hear(second[1].id, {}) == "behind"
    assert not judge.hear(second[0].id, {})
    assert heard(judge, first[2:], [0.7, 0.95]) == [True, False]


def test_what_was_stopped_stands_only_where_trials_are_stopped(tmp_path):
    planned = plan(sweep(), tmp_path)
    done = Done("pruned", "behind", cost=dict.fromkeys(COSTS, 0.1))
    Ledger(tmp_path).commit(record_of(planned.trials[0], done, "test"))
    assert len(plan(sweep(), tmp_path).to_run) == len(planned.trials) - 1
    assert len(plan(sweep(stopper=""), tmp_path).to_run) == len(planned.trials)


MODEL = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

@dataclass(frozen=True)
class Learns:
    x: float = 0.0
    card: ClassVar = Card(summary="answers the better, the nearer x is to 1")
    def fit_predict(self, train, valid, test, ctx):
        right = 1 / (1 + abs(self.x - 1))
        for epoch in range(1, 6):
            ctx.report({"epoch": epoch, "valid/macro_f1": right * (1 - 0.5**epoch)})
        def said(cells, truth):
            kinds = np.unique(truth)
            wrong = np.arange(len(cells.obs)) % 10 >= 10 * right
            return np.where(wrong, kinds[0], truth)
        truth = valid.obs["cell_type"].astype(str).to_numpy()
        return Predictions(test=np.full(test.n_obs, truth[0]), valid=said(valid, truth))
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """A model that reports epochs and costs nothing, as an installed package."""
    site = tmp_path_factory.mktemp("site")
    (site / "learning_model.py").write_text(MODEL)
    info = site / "learning-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: learning\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gauntlet.models]\nlearns = learning_model:Learns\n")
    return {"PYTHONPATH": str(site)}


def test_a_search_with_a_stopper_from_end_to_end(gauntlet, plugin, tmp_path):
    storage, path = tmp_path / "runs", tmp_path / "s.py"
    path.write_text(
        textwrap.dedent("""
        from orchestrator.sweep import Comparison, Sweep
        from search_spaces.spaces import uniform
        SWEEP = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0, 1, 2],
                      models={"learns": {"x": uniform(-3, 5)}, "mean": {}}, draws=14,
                      search="optuna", stopper="asha", analysis=[Comparison("learns", "mean")])
        """)
    )
    words = ("run", path, "--storage", storage, "--max-concurrent", 1, "--json")
    ran = json.loads(gauntlet(*words, **plugin).stdout)
    assert ran["planned"] == 14 * 3 + 3
    assert set(ran["statuses"]) == {"ok", "pruned"}
    assert ran["statuses"]["pruned"] >= 12
    table = results("s", storage)
    stopped = table[table["status"] == "pruned"]
    assert stopped["value"].isna().all(), "no score of a stopped trial can be reported"
    assert stopped["reason"].str.startswith("behind other settings after epoch").all()
    best = choose_on_validation(table)
    assert best[best["model"] == "learns"]["seed"].nunique() == 3
    assert {row["n"] for row in ran["comparison"]} == {3}
    arm = budgets(table, "valid/macro_f1").set_index("model").loc["learns"]
    assert (arm["candidates"], arm["trials"], arm["failed"]) == (14, 42, 0)
    assert arm["pruned"] == ran["statuses"]["pruned"]
    assert "as optuna suggested them" in (storage / "reports" / "s.html").read_text()
    left = gauntlet("plan", path, "--storage", storage, "--json", **plugin).stdout
    assert (json.loads(left)["to_run"], json.loads(left)["search"]["settings"]) == (0, 14)
