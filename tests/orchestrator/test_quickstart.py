"""The whole path on real cells: run, resume, track, query, compare, report."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis import results
from orchestrator.records import Ledger

TRIALS = 80


def records_of(storage):
    return sorted((storage / "records").glob("??/*.json"))


def measured(storage):
    """What was measured, without what differs from run to run."""
    table = results("quickstart", storage)
    return table.set_index(["trial_id", "metric"])["value"].sort_index()


def test_it_ends_with_a_comparison_and_names_its_report(quickstart):
    storage, output = quickstart
    assert "logreg minus pca+probe, pbmc68k_reduced" in output
    assert "p (Holm)" in output
    assert "verdict" in output
    assert str(storage / "reports" / "quickstart.html") in output
    assert f"{TRIALS} ok" in output


def test_every_trial_has_one_record(quickstart, gauntlet):
    storage, _ = quickstart
    printed = gauntlet("results", "quickstart", "--format", "json", "--storage", storage).stdout
    rows = json.loads(printed)
    assert {row["status"] for row in rows} == {"ok"}
    assert len({row["trial_id"] for row in rows}) == TRIALS == len(records_of(storage))
    assert len({(row["trial_id"], row["metric"]) for row in rows}) == len(rows)


def test_the_baselines_are_above_the_floor(quickstart):
    table = results("quickstart", quickstart[0], where="metric = 'test/accuracy'")
    means = table.groupby("model")["value"].mean()
    assert means["logreg"] > means["mean"] + 0.3
    assert means["pca+probe"] > means["mean"] + 0.3


def test_again_runs_nothing_and_says_the_same(quickstart, gauntlet):
    storage, first = quickstart
    again = gauntlet("run", "quickstart", "--storage", storage).stdout
    assert "0 trials run" in again

    def table(text):
        return [line for line in text.splitlines() if re.match(r" *\d+% ", line)]

    assert len(table(again)) == 12
    assert table(again) == table(first)


def test_a_lost_record_is_one_trial_to_run(quickstart, gauntlet):
    storage, _ = quickstart
    before = measured(storage)
    lost = records_of(storage)[7]
    lost.unlink()
    assert (
        json.loads(gauntlet("plan", "quickstart", "--storage", storage, "--json").stdout)["to_run"]
        == 1
    )
    ran = json.loads(gauntlet("run", "quickstart", "--storage", storage, "--json").stdout)
    assert ran["ran"] == 1
    assert lost.exists()
    assert measured(storage).equals(before)


def test_mlflow_shows_every_trial(quickstart):
    from mlflow import MlflowClient

    from orchestrator.tracking import default_uri

    storage, _ = quickstart
    client = MlflowClient(default_uri(storage))
    experiment = client.get_experiment_by_name("quickstart")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len(runs) == TRIALS
    assert {run.info.status for run in runs} == {"FINISHED"}
    by_trial = {run.data.tags["trial_id"]: run for run in runs}
    table = results("quickstart", storage)
    assert set(by_trial) == set(table["trial_id"])
    for trial_id, rows in table.groupby("trial_id"):
        shown = by_trial[trial_id].data.metrics
        assert shown == dict(zip(rows["metric"], rows["value"], strict=True))
    run = by_trial[table.query("model == 'pca+probe' and fraction == 0.1").iloc[0]["trial_id"]]
    assert run.info.run_name.startswith("pca+probe-pbmc68k_reduced-f0.10-s")
    assert {"model", "task", "dataset", "fraction", "seed", "status"} <= set(run.data.tags)
    assert run.data.params["embedder.n_components"] in ("10", "50")
    assert run.inputs.dataset_inputs[0].dataset.name == "pbmc68k_reduced"
    kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "predictions.parquet", "per_class.csv", "confusion.csv"} <= kept


def test_syncing_again_adds_nothing(quickstart, gauntlet):
    from mlflow import MlflowClient

    from orchestrator.tracking import default_uri

    storage, _ = quickstart
    gauntlet("sync", "--storage", storage)
    client = MlflowClient(default_uri(storage))
    experiment = client.get_experiment_by_name("quickstart")
    assert len(client.search_runs([experiment.experiment_id], max_results=1000)) == TRIALS


def test_the_report_is_one_file(quickstart):
    page = (quickstart[0] / "reports" / "quickstart.html").read_text()
    assert "<svg" in page
    for outside in ("<script src", "<link", 'src="http', "@import"):
        assert outside not in page


def test_compare_takes_any_two_models_and_metrics(quickstart, gauntlet):
    storage, _ = quickstart
    words = ("compare", "pca+probe", "logreg", "--metric", "test/accuracy", "--storage", storage)
    rows = json.loads(gauntlet(*words, "--json").stdout)
    assert len(rows) == 4
    assert {"n", "difference", "ci_low", "p", "p_adjusted", "verdict"} <= set(rows[0])
    turned = json.loads(
        gauntlet("compare", "logreg", "pca+probe", *words[3:], "--json", "--test", "paired").stdout
    )
    assert [r["difference"] for r in turned] == pytest.approx([-r["difference"] for r in rows])


def test_a_trial_can_be_profiled(quickstart, gauntlet):
    storage, _ = quickstart
    trial = results("quickstart", storage, where="model = 'logreg'")["trial_id"].iloc[0]
    before = {path: path.read_bytes() for path in records_of(storage)}
    found = json.loads(gauntlet("profile", trial[:10], "--storage", storage, "--json").stdout)
    assert found["status"] == "ok"
    assert found["trial_id"] == trial
    told = sum(phase["seconds"] for phase in found["phases"])
    assert 0.5 * found["seconds"] < told <= 1.05 * found["seconds"]
    assert {"import", "model"} <= {phase["phase"] for phase in found["phases"]}
    assert {path: path.read_bytes() for path in records_of(storage)} == before
    gone = gauntlet("profile", "none", "--storage", storage, expect=2)
    assert "no sweep has a trial 'none'" in gone.stderr


def test_results_can_be_asked_in_sql(quickstart, gauntlet):
    storage, _ = quickstart
    where = "metric = 'test/accuracy' and model = 'mean' and fraction < 0.5"
    assert len(results("quickstart", storage, where=where)) == 10
    refused = gauntlet(
        "results", "quickstart", "--where", "modle = 1", "--storage", storage, expect=2
    )
    assert "modle" in refused.stderr


def test_results_work_from_the_clones_root(quickstart):
    code = "from analysis import results; print(results('quickstart').shape)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "GAUNTLET_STORAGE": str(quickstart[0])},
    )
    assert done.stdout.strip() == str(results("quickstart", quickstart[0]).shape)


def start(storage):
    """The command in a process of its own, once it has settled a few trials."""
    command = Path(sys.executable).with_name("gauntlet")
    process = subprocess.Popen(
        [command, "run", "quickstart", "--storage", storage],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 600
    while len(Ledger(storage).settled_ids()) < 12:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "no trial ended in ten minutes"
        time.sleep(0.05)
    return process


def test_a_killed_driver_loses_nothing_and_repeats_nothing(quickstart, gauntlet, tmp_path):
    process = start(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    survived = {path: path.read_bytes() for path in records_of(tmp_path)}
    assert 12 <= len(survived) < TRIALS
    ran = json.loads(gauntlet("run", "quickstart", "--storage", tmp_path, "--json").stdout)
    assert ran["statuses"] == {"ok": TRIALS}
    assert ran["ran"] <= TRIALS - len(survived)
    assert {path: path.read_bytes() for path in survived} == survived
    rows = json.loads(
        gauntlet("results", "quickstart", "--format", "json", "--storage", tmp_path).stdout
    )
    assert len({row["trial_id"] for row in rows}) == TRIALS == len(records_of(tmp_path))
    assert measured(tmp_path).equals(measured(quickstart[0]))
    from mlflow import MlflowClient

    from orchestrator.tracking import default_uri

    client = MlflowClient(default_uri(tmp_path))
    experiment = client.get_experiment_by_name("quickstart")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len({run.data.tags["trial_id"] for run in runs}) == TRIALS
    assert len(runs) == TRIALS
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path):
    process = start(tmp_path)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert "the same command resumes" in output
    assert "Traceback" not in output
