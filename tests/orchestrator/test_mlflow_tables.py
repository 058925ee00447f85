"""Many runs written into MLflow's database at once are what its client would have written."""

from pathlib import Path

import pytest

from orchestrator import tracking
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.manifests import write_manifest
from orchestrator.mlflow_runs import all_runs, millis
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from orchestrator.tracking import Syncer

ARMS = {"mean": {}, "logreg": {"C": 0.1}}


def planned(storage):
    sweep = Sweep(
        title="t", task="annotation", models=ARMS, datasets=["toy"], seeds=range(2), name="both"
    )
    return plan(sweep, storage)


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Records with metrics, epochs and artifacts, one of them of a failure."""
    storage = tmp_path_factory.mktemp("mirrored")
    made = planned(storage)
    write_manifest(storage, made.manifest())
    for n, trial in enumerate(made.trials):
        epochs = [{"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "loss": 0.25}]
        done = Done(metrics={"test/accuracy": 0.1 * n, "n_eval": 3}, history=epochs * (n % 2))
        done.cost = dict.fromkeys(COSTS, 1.0)
        if n == 3:
            done.status, done.reason, done.metrics = "failed", "it broke", {}
        folder = storage / "artifacts" / trial.id / "deeper"
        folder.mkdir(parents=True)
        (folder / "kept.csv").write_text(f"{n}")
        Ledger(storage).commit(record_of(trial, done, "test"))
    return storage


def shown(storage, file):
    """All that MLflow has of each trial, but for numbers of its own."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{storage / file}")
    experiment = client.get_experiment_by_name("both").experiment_id
    found = {}
    for trial_id, [run] in all_runs(client, experiment).items():
        kept = client.download_artifacts(run.info.run_id, "deeper/kept.csv")
        [told] = run.inputs.dataset_inputs
        found[trial_id] = {
            "name": run.info.run_name,
            "ended": (run.info.status, run.info.start_time, run.info.end_time),
            "tags": run.data.tags,
            "params": run.data.params,
            "metrics": run.data.metrics,
            "dataset": (told.dataset.to_dictionary(), [(t.key, t.value) for t in told.tags]),
            "losses": [
                (m.value, m.step, m.timestamp)
                for m in client.get_metric_history(run.info.run_id, "loss")
            ],
            "files": sorted(f.path for f in client.list_artifacts(run.info.run_id)),
            "kept": Path(kept).read_text(),
        }
    return found


def test_both_ways_write_the_same(storage, monkeypatch):
    for file, direct in (("tables.db", True), ("client.db", False)):
        with monkeypatch.context() as patched:
            uri = f"sqlite:///{storage / file}"
            patched.setattr(tracking, "default_uri", lambda _, uri=uri: uri)
            if not direct:
                patched.setattr(tracking, "tables_of", lambda *_: None)
            assert Syncer(storage, "both").sync() == 4
    ours, clients = shown(storage, "tables.db"), shown(storage, "client.db")
    assert len(ours) == 4
    assert ours == clients
    assert {run["ended"][0] for run in ours.values()} == {"FINISHED", "FAILED"}
    assert max(len(run["losses"]) for run in ours.values()) == 2


def test_what_was_mirrored_is_not_written_twice_and_what_changed_is_put_right(storage, monkeypatch):
    monkeypatch.setattr(tracking, "default_uri", lambda _: f"sqlite:///{storage / 'tables.db'}")
    again = Syncer(storage, "both")
    again.sync()
    failed = planned(storage).trials[3]
    again_so = Done("failed", "it broke elsewhere", cost=dict.fromkeys(COSTS, 1.0))
    Ledger(storage).commit(record_of(failed, again_so, "test"))
    assert again.sync() == 1
    assert shown(storage, "tables.db")[failed.id]["tags"]["reason"] == "it broke elsewhere"
    done = Done(metrics={"test/accuracy": 1.0}, cost=dict.fromkeys(COSTS, 1.0))
    done.history = [{"loss": 0.4}]
    Ledger(storage).commit(record := record_of(failed, done, "test"))
    assert again.sync() == 1
    runs = shown(storage, "tables.db")
    assert len(runs) == 4
    told = runs[failed.id]
    assert told["ended"] == ("FINISHED", millis(record["started_at"]), millis(record["ended_at"]))
    assert told["metrics"]["test/accuracy"] == 1.0
    assert "reason" not in told["tags"], "of a failure that no longer stands"
    assert [loss for loss, _, _ in told["losses"]] == [0.4], "and none of its epochs"
