"""Published numbers beside records: the very runs pass, shifted ones fail, none are not run."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import orchestrator.faithful  # noqa: F401  before find_dataset is replaced
from analysis.conclusion import reproduced
from analysis.published import published, published_sweeps
from analysis.reproduce import Design, published_tests, reproduction, spread_of
from orchestrator.cli import app
from orchestrator.execute import Done, record_of
from orchestrator.known_sweeps import find_sweep, sweep_names
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger

PAPERS = [name for name in sweep_names() if "2023/" in name]


class Elsewhere:
    """A data set that lies on another disk: its name and hash are known here."""

    summary = "stands in for a download"

    def __init__(self, name):
        self.name, self.sha256 = name, f"{len(name):064d}"


@pytest.fixture
def elsewhere(monkeypatch):
    def find(source):
        return Elsewhere(source) if isinstance(source, str) else source

    monkeypatch.setattr("orchestrator.sweep.find_dataset", find)
    monkeypatch.setattr("orchestrator.planning.find_dataset", find)


def record(storage, sweep, score, *, statuses=None, **changes):
    """Records of a sweep's trials: `score(trial, k)` gives the metrics of the k-th seed."""
    planned = plan(sweep, storage, **changes)
    write_manifest(storage, planned.manifest())
    seeds = sorted({trial.seed for trial in planned.trials})
    for trial in planned.trials:
        if (
            trial.task != planned.sweep.task
            or (trial.arm or trial.model) not in planned.sweep.models
        ):
            continue
        done = Done(metrics=score(trial, seeds.index(trial.seed)), protocol="as published")
        if statuses:
            done.status, done.reason = statuses(trial)
        done.metrics = done.metrics if done.status == "ok" else {}
        Ledger(storage).commit(record_of(trial, done, "test"))


def its_runs(sweep, shift=0.0):
    """The published per-run values, seed by seed."""
    table = published(sweep).query("statistic == 'run' and against == ''")
    cells = table.groupby(["dataset", "fraction", "model", "metric"])["value"].apply(list)

    def score(trial, k):
        found = {}
        for (dataset, fraction, model, metric), values in cells.items():
            here = (trial.dataset, trial.fraction, trial.shown) == (dataset, fraction, model)
            if here:
                found[metric] = values[k % len(values)] + shift
        return found or {"test/accuracy": 0.5, "test/macro_f1": 0.5}

    return score


def verdicts(storage, sweep, metric=None):
    cells = reproduced(storage, sweep)["cells"]
    return cells if metric is None else cells[cells["metric"] == metric]


@pytest.mark.parametrize("sweep", ["boiarsky2023/table1", "boiarsky2023/table2"])
def test_the_published_runs_pass(elsewhere, tmp_path, sweep):
    record(tmp_path, sweep, its_runs(sweep))
    every = verdicts(tmp_path, sweep)
    assert set(every["verdict"]) <= {"PASS", "WITHIN NOISE"}, "hard cells scatter beyond the margin"
    cells = every[~every["metric"].str.endswith("_hard")]
    assert set(cells["verdict"]) == {"PASS"}
    assert cells["difference"].abs().max() < 1e-6
    assert list(cells["ours"]) == pytest.approx(list(cells["published"]), abs=1e-6)
    assert (cells["difference_low"] < 0).all()


def command(*words, expect=0):
    """What the command prints."""
    done = CliRunner().invoke(app, ["reproduce", *map(str, words)])
    assert done.exit_code == expect, done.output
    return done.stdout


def test_shifted_runs_fail_and_only_those(elsewhere, tmp_path):
    sweep = "boiarsky2023/table2"
    honest, shifted = its_runs(sweep), its_runs(sweep, shift=-0.1)
    shift = "scbert/no_pretraining"
    record(tmp_path, sweep, lambda t, k: (shifted if t.shown == shift else honest)(t, k))
    cells = verdicts(tmp_path, sweep, "test/accuracy").set_index("model")
    assert cells["verdict"].to_dict() == {
        "scbert": "PASS",
        "scbert/no_gene2vec": "PASS",
        shift: "FAIL",
    }
    assert cells.loc[shift, "p_adjusted"] < 1e-5
    words = (sweep, "--storage", tmp_path)
    assert "FAIL" in command(*words)
    told = json.loads(command(*words, "--json", "--check", expect=3))
    assert {cell["verdict"] for cell in told["cells"]} == {"PASS", "FAIL", "WITHIN NOISE"}


def test_three_runs_may_be_too_few_to_tell(elsewhere, tmp_path):
    """Half of the margin away, with three scattered runs on each side: neither is shown."""
    record(tmp_path, "boiarsky2023/fig2", its_runs("boiarsky2023/fig2", shift=0.008))
    cells = verdicts(tmp_path, "boiarsky2023/fig2", "test/accuracy").query("fraction == 0.1")
    assert cells.set_index("model")["verdict"].to_dict()["scbert"] == "WITHIN NOISE"


def test_a_median_over_data_sets_waits_for_all_of_them(elsewhere, tmp_path):
    sweep = "kedzierska2023/fig3"
    score = lambda trial, k: {"avg_bio": 0.44 + 0.001 * k}  # noqa: E731
    record(tmp_path, sweep, score, datasets=["pbmc12k", "immune"])
    cells = verdicts(tmp_path, sweep).set_index("model")
    assert set(cells["verdict"]) == {"NOT RUN"}
    assert "pancreas_scib, pbmc95k, tabula_sapiens" in cells["why"].iloc[0]
    record(tmp_path, sweep, score)
    cells = verdicts(tmp_path, sweep).set_index("model")
    assert cells["verdict"].to_dict() == {
        "scgpt+cached/human": "PASS",
        "scgpt+cached/kidney": "FAIL",
    }


def test_trials_that_were_run_otherwise_do_not_count(elsewhere, tmp_path):
    sweep = "boiarsky2023/table1"
    record(tmp_path, sweep, its_runs(sweep), **{"logreg.C": 1.0})
    cells = verdicts(tmp_path, sweep, "test/accuracy").set_index("model")
    assert cells["verdict"].to_dict() == {"scbert": "PASS", "logreg": "NOT RUN"}
    assert cells.loc["logreg", "why"] == "not run as published: C 1.0 instead of 0.1"
    record(tmp_path, sweep, its_runs(sweep), **{"task.protocol": "random"})
    assert set(verdicts(tmp_path, sweep)["verdict"]) == {"NOT RUN"}
    assert "protocol random instead of paper" in verdicts(tmp_path, sweep)["why"].iloc[0]


def test_lost_trials_say_why_and_the_rest_is_judged(elsewhere, tmp_path):
    sweep = "boiarsky2023/table1"

    def statuses(trial):
        if trial.model == "scbert":
            return "not_applicable", "the weights are not here"
        return ("failed", "killed") if trial.seed == 3000 else ("ok", "")

    record(tmp_path, sweep, its_runs(sweep), statuses=statuses)
    cells = verdicts(tmp_path, sweep, "test/accuracy").set_index("model")
    assert cells.loc["scbert", "why"] == "10 not_applicable: the weights are not here"
    assert cells.loc["logreg", ["verdict", "n"]].to_list() == ["PASS", 9]
    assert "1 seeds failed" in cells.loc["logreg", "why"]


@pytest.mark.parametrize("sweep", PAPERS)
def test_nothing_run_is_no_failure(tmp_path, sweep, monkeypatch):
    monkeypatch.setenv("GAUNTLET_DATA", str(tmp_path))
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    found = reproduced(tmp_path / "nothing", sweep)["cells"]
    assert set(found["verdict"]) <= {"NOT RUN"}
    assert found.empty == (sweep not in published_sweeps())
    assert (found["why"] != "").all()
    assert all("is not on this disk" in why for why in found["why"])
    assert found["published"].notna().all()


def test_the_command_prints_reasons_and_a_check_of_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_DATA", str(tmp_path))
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    words = ("boiarsky2023/table2", "--storage", tmp_path / "none")
    told = command(*words)
    assert json.loads(command(*words, "--json", "--check", expect=3))["check"] == "not run"
    assert "12 published numbers: 12 NOT RUN" in told
    assert "gauntlet data fetch zheng68k" in " ".join(told.split())
    assert "gauntlet models fetch scbert" in " ".join(told.split())
    assert "no number of it is published" in command("boiarsky2023/fig5")
    with pytest.raises(LookupError, match="no sweep 'table9'"):
        reproduced(tmp_path, "table9")


def test_a_small_run_is_not_the_published_size(tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_DATA", str(tmp_path))
    small = find_sweep("boiarsky2023/fig2").scaled("small")
    record(tmp_path, small, lambda trial, k: {"test/accuracy": 0.7})
    monkeypatch.setattr("orchestrator.faithful.obstacles", lambda sweep: {})
    found = reproduced(tmp_path, "boiarsky2023/fig2")["cells"]
    assert set(found["verdict"]) == {"NOT RUN"}
    assert "only scale=small has run" in found["why"].iloc[0]


def test_every_sweep_has_a_margin_of_its_own_behind_each_cell(tmp_path):
    for sweep in PAPERS:
        found = reproduced(tmp_path, sweep)["cells"]
        asked = {c.margin for c in find_sweep(sweep).analysis}
        scores = found[~found["metric"].isin(["mse", "mae"])]
        for margin in asked:
            assert (scores["margin"] >= margin - 1e-12).all()
            assert (scores["margin"] <= 5 * margin + 1e-12).all()


def one_cell(published_value, decimals, ours, **changes):
    """The verdict on one published number, given our runs."""
    row = {"dataset": "d", "fraction": 1.0, "model": "m", "against": "", "metric": "avg_bio",
           "statistic": "run", "value": published_value, "decimals": decimals, "run": "1", "n": 1,
           "source": "here", "precision": ""}  # fmt: skip
    table = (
        pd.DataFrame({"value": ours, "seed": range(len(ours))})
        .assign(
            dataset="d",
            fraction=1.0,
            model="m",
            metric="avg_bio",
            status="ok",
            trial_id="t",
            reason="",
        )
        .assign(task="clustering", **changes)
    )
    found = reproduction(pd.DataFrame([row]), table, Design({"avg_bio": 0.02}))
    return found.iloc[0]


def test_what_compare_refuses_is_refused():
    with pytest.raises(ValueError, match=r"is there 2 times"):
        one_cell(0.6, 6, [0.6, 0.61], seed=[0, 0])
    with pytest.raises(ValueError, match="is nan, which is no finite number"):
        one_cell(0.6, 6, [0.6, float("nan")])
    with pytest.raises(ValueError, match=r"m has 2 candidates .* no 'valid/avg_bio' to choose by"):
        one_cell(0.6, 6, [0.6, 0.9], seed=[0, 0], model_params=["{}", '{"k": 1}'])


def test_a_published_p_value_is_recomputed_from_whole_arms_only():
    rows = [
        {"dataset": "d", "fraction": 1.0, "model": m, "against": "", "metric": "x", "value": v,
         "statistic": "run", "n": 1}
        for m, values in {"m": [0.6, 0.62, 0.61], "w": [0.7, 0.73, 0.71]}.items() for v in values
    ]  # fmt: skip
    alike = {"dataset": "d", "fraction": 1.0, "metric": "x"}
    test = alike | {"model": "m", "against": "w", "statistic": "pvalue", "value": 0.01}
    mean = alike | {"model": "w", "against": "", "statistic": "mean", "value": 0.71}
    nothing = pd.DataFrame(columns=["status", "model", "dataset", "fraction", "metric", "value"])
    for n, known in ((3, True), (10, False)):
        found = published_tests(pd.DataFrame([*rows, test, mean | {"n": n}]), nothing)
        assert found["p_of_its_runs"].notna().tolist() == [known]


def test_a_number_of_two_decimals_may_have_been_rounded():
    assert one_cell(0.6, 2, [0.624, 0.624])["verdict"] == "PASS"
    assert one_cell(0.6, 4, [0.624, 0.624])["verdict"] == "FAIL"
    assert one_cell(0.6, 2, [0.604, 0.6041])["difference"] == 0


def test_without_a_published_spread_ours_stands_for_both():
    found = one_cell(0.6, 6, [0.60, 0.62, 0.61, 0.60])
    assert found["why"] == "no published spread: ours taken for both"
    error = np.std([0.60, 0.62, 0.61, 0.60], ddof=1) * np.sqrt(1 + 1 / 4)
    low, high = found[["difference_low", "difference_high"]]
    assert high - low == pytest.approx(2 * 2.353363 * error, rel=1e-5)


def test_figure_3s_spread_is_solved_for_from_its_p_values(tmp_path):
    """Where the interval is printed, too, both give the sd that the arms share."""
    table = published("boiarsky2023/fig3")
    for (_, _), rows in table.query("fraction == 1").groupby(["dataset", "metric"]):
        arms = [rows[rows["model"] == arm] for arm in ("scgpt", "logreg")]
        sds = [spread_of(arm[arm["against"] == ""], table, 10)[0] for arm in arms]
        silent = arms[0][arms[0]["statistic"] == "mean"]
        pooled, basis = spread_of(silent, table, 10)
        assert basis == "p-value"
        assert pooled == pytest.approx(np.sqrt(np.mean(np.square(sds))), rel=2e-3)
