"""What each arm was given is told, and what is unfair is warned of."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis import report
from analysis.fairness import budgets, warnings
from orchestrator.cli import app
from orchestrator.execute import Done, record_of
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Comparison, Sweep
from search_spaces.spaces import grid
from tests.analysis.conftest import scores_table, sweep_table, trial

LOST = {("pca+probe", 0.1, 0)}


def test_hours_are_of_all_trials_whatever_became_of_them():
    table = sweep_table(lost=LOST)
    found = budgets(table, "valid/macro_f1").set_index("model")
    one = np.repeat([1.5 + share for share in (0.1, 0.25, 0.5, 1.0)], 5).sum() / 3600
    assert found.loc["pca+probe", ["trials", "failed", "candidates"]].tolist() == [20, 1, 1]
    assert found.loc["logreg", ["trials", "failed", "candidates"]].tolist() == [60, 0, 3]
    assert found["wall_h"].to_dict() == pytest.approx(
        {"logreg": 3 * one, "pca+probe": one, "mean": one}
    )
    assert found["tuning_h"].to_dict() == pytest.approx(
        {"logreg": 2 * one, "pca+probe": 0, "mean": 0}
    )
    assert found.loc["logreg", "cpu_h"] == pytest.approx(60 * 1.2 / 3600)
    assert found["space"].to_dict() == {"logreg": "C: 3", "pca+probe": "", "mean": ""}
    assert found["selected"].to_dict() == {
        "logreg": "settings, by validation macro F1", "pca+probe": "", "mean": ""
    }  # fmt: skip


def test_weights_that_were_made_for_an_arm_are_its_own_cost():
    rows = [trial("mean", "{}", 1.0, seed, task="pretraining", trial_id=f"p{seed}", wall_s=3600.0)
            for seed in range(5)]  # fmt: skip
    made = pd.DataFrame(rows).assign(metric="loss", value=1.0)
    plain, more = (
        budgets(sweep_table(), "valid/macro_f1", some).set_index("model").loc["mean"]
        for some in (None, made)
    )
    assert more["wall_h"] == pytest.approx(plain["wall_h"] + 5)
    assert more["trials"] == plain["trials"] + 5


def test_an_arm_that_selects_on_what_it_reports_is_named(tmp_path):
    table = scores_table([0.8, 0.9, 0.85], [0.7, 0.8, 0.8])
    epochs = table[table["model"] == "a"].assign(metric="chosen/epoch", value=3.0)
    both = pd.concat([table, epochs])
    assert warnings(both, set()) == []
    assert budgets(both, "valid/macro_f1")["selected"].tolist() == [
        "epoch, by the model itself",
        "",
    ]
    stamped = both.assign(protocol="as published, chosen on the test set")
    [told] = warnings(stamped, {"a", "b"})
    assert told.startswith("a selects on the very cells that are reported")
    page = report(
        *(stamped, [{"a": "a", "b": "b"}], tmp_path / "r.html"), title="t", sweep="s"
    ).read_text()
    assert told in page
    assert (
        page.index("<h2>Comparisons</h2>") < page.index("Was it fair?") < page.index("Scores</h2>")
    )


def test_one_tuned_arm_is_held_against_the_comparison():
    [told] = warnings(sweep_table(), {"logreg", "pca+probe"})
    assert told.startswith("Only logreg (3 candidates) was tuned")
    assert warnings(sweep_table(), {"logreg", "mean"}) == []  # mean has nothing to tune


@pytest.mark.parametrize("settings", [[20], [20, 50]])
def test_the_command_warns_of_one_tuned_arm_in_its_report(tmp_path, settings):
    sweep = Sweep(
        title="A contest", task="annotation", datasets=["toy"], seeds=range(3), name="contest",
        models={"logreg": {"C": grid([0.1, 1.0])}, "pca+probe": {
            "embedder.n_components": grid(settings)}},
        analysis=[Comparison("logreg", "pca+probe", metric="test/accuracy")],
    )  # fmt: skip
    planned = plan(sweep, tmp_path)
    write_manifest(tmp_path, planned.manifest())
    for at, one in enumerate(planned.trials):
        scores = {"test/accuracy": 0.8 + 0.01 * (at % 4), "valid/accuracy": 0.7 + 0.01 * at}
        done = Done(metrics=scores | {"n_train": 80, "n_eval": 20}, protocol="random")
        Ledger(tmp_path).commit(record_of(one, done, "test"))
    page = tmp_path / "r.html"
    words = ["report", "contest", "--storage", str(tmp_path), "--out", str(page)]
    assert CliRunner().invoke(app, words).exit_code == 0
    told = "Only logreg (2 candidates) was tuned; pca+probe ran with one setting."
    assert (told in page.read_text()) == (len(settings) == 1)


def test_a_model_that_tunes_itself_was_tuned():
    table = sweep_table()
    chosen = table[(table["model"] == "pca+probe") & (table["metric"] == "valid/macro_f1")]
    assert warnings(table, {"logreg", "pca+probe"})
    both = pd.concat([table, chosen.assign(metric="chosen/C", value=0.1)])
    assert warnings(both, {"logreg", "pca+probe"}) == []
