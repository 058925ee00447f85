"""A storage that was moved, copied or edited is what it is where it lies now."""

import json
import os
import shutil

import pytest
from mlflow import MlflowClient

from analysis import results
from orchestrator.execute import execute
from orchestrator.manifests import write_manifest
from orchestrator.planning import plan
from orchestrator.sweep import Sweep
from orchestrator.tracking import Syncer, default_uri

SWEEP = Sweep("moved", "annotation", {"mean": {}}, ["toy"], seeds=[0, 1, 2], name="moved")


@pytest.fixture
def old(tmp_path):
    """A storage with two of three trials done, mirrored."""
    storage = tmp_path / "old"
    planned = plan(SWEEP, storage)
    write_manifest(storage, planned.manifest())
    for trial in planned.trials[:2]:
        execute(trial, storage, code_version="test")
    assert Syncer(storage, "moved").sync() == 2
    return storage


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["moved", "copied", "moved, and a file lies in its old place"])
def test_a_storage_writes_where_it_lies(old, tmp_path, way):
    new = tmp_path / "elsewhere/new"
    new.parent.mkdir()
    (shutil.copytree if way == "copied" else shutil.move)(old, new)
    if "file" in way:
        old.write_text("no folder")
    before = files_of(tmp_path / "old") if way == "copied" else {}
    execute(plan(SWEEP, new).to_run[0], new, code_version="test")
    assert Syncer(new, "moved").sync() == 1
    assert old.exists() == (way != "moved")
    assert (files_of(old) if way == "copied" else {}) == before
    client = MlflowClient(default_uri(new))
    (experiment,) = [e for e in client.search_experiments() if e.name == "moved"]
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 3
    for run in runs:
        assert run.info.artifact_uri.startswith(new.resolve().as_uri())
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"config.json", "predictions.parquet"} <= names
    assert Syncer(new, "moved").sync() == 0


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_record_edited_in_place_is_noticed(old, keep_times):
    table = results("moved", old)
    path = sorted(old.glob("records/??/*.json"))[0]
    record, seen = json.loads(path.read_text()), path.stat()
    value = record["metrics"]["test/accuracy"]
    other = f"{1 - value:.17g}"[: len(str(value))].ljust(len(str(value)), "1")
    text = path.read_text().replace(f'"test/accuracy": {value}', f'"test/accuracy": {other}')
    path.write_text(text)
    if keep_times:
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    after = results("moved", old)
    mine = (after["trial_id"] == path.stem) & (after["metric"] == "test/accuracy")
    assert after.loc[mine, "value"].item() == float(other) != value
    assert len(after) == len(table)
