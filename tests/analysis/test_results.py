"""The tidy table: from records, from the file beside them, and from MLflow, always the same."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from analysis import results
from orchestrator import compact
from orchestrator.cli import app
from orchestrator.execute import Done, execute, record_of
from orchestrator.manifests import read_manifest, write_manifest
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.rows import COLUMNS, about
from orchestrator.sweep import Sweep
from orchestrator.tracking import Syncer, default_uri

SWEEP = Sweep(
    title="A few trials",
    task="annotation",
    datasets=["toy"],
    fractions=[0.5, 1.0],
    seeds=range(3),
    models={"mean": {}, "logreg/weak": {"C": 0.01}, "logreg": {"C": 1.0}},
    name="few",
)


def written(storage, sweep=SWEEP, *, really=False, changes=None):
    """The sweep's records, run really or made up; one failed, one was out of memory once."""
    planned = plan(sweep, storage, **(changes or {}))
    write_manifest(storage, planned.manifest())
    for at, trial in enumerate(planned.trials):
        if really:
            execute(trial, storage, code_version="test")
        elif at == 1:
            failed = Done(status="failed", reason="no luck", protocol="p")
            Ledger(storage).commit(record_of(trial, failed, "test"))
        elif at != 2:  # the third has not run
            Ledger(storage).commit(record_of(trial, made_up(at), "test"))
    return planned


def made_up(at, shift=0.0):
    """An outcome with a course of epochs, whose last one is not what is reported."""
    metrics = {"test/accuracy": 0.1 + 0.01 * at + shift, "valid/accuracy": 0.7 + 1e-9 * at}
    epochs = [{"epoch": e, "valid/accuracy": 0.2 * e} for e in range(4)]
    counts = {"n_train": 80 + at, "n_eval": 20}
    return Done(metrics=metrics | counts, history=epochs, protocol="p")


def plainly(storage, sweep="few"):
    """The table straight from the records, one after the other."""
    trials = read_manifest(storage, sweep)["trials"]
    rows = [
        about(record, sweep, trials) | {"metric": metric, "value": value}
        for record in Ledger(storage).current(trials)
        for metric, value in (record["metrics"] or {None: None}).items()
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("fraction", "seed", "value", "n_train", "n_eval", "n_classes"):
        table[column] = pd.to_numeric(table[column])
    return table


def same(table, expected):
    pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_it_is_what_the_records_say(tmp_path):
    written(tmp_path)
    for _ in range(2):  # made from records, then read from the file beside them
        same(results("few", tmp_path), plainly(tmp_path))
    assert (tmp_path / "compacted" / "few.parquet").exists()
    table = results("few", tmp_path)
    assert set(table["model"]) == {"mean", "logreg", "logreg/weak"}
    failed = table.query("status == 'failed'")
    assert len(failed) == 1  # a row of its own, though it has no metric
    assert failed["metric"].isna().all()
    assert table["trial_id"].nunique() == 17


def test_it_follows_what_happens_to_records(tmp_path):
    planned = written(tmp_path)
    results("few", tmp_path)
    third, second = planned.trials[2], planned.trials[1]
    Ledger(tmp_path).commit(record_of(third, made_up(2), "test"))
    Ledger(tmp_path).commit(record_of(second, made_up(1), "test"))
    same(results("few", tmp_path), plainly(tmp_path))
    assert set(results("few", tmp_path)["status"]) == {"ok"}
    lost = tmp_path / "records" / third.id[:2] / f"{third.id}.json"
    lost.unlink()
    same(results("few", tmp_path), plainly(tmp_path))
    assert third.id not in set(results("few", tmp_path)["trial_id"])
    Ledger(tmp_path).commit(record_of(third, made_up(2, shift=0.3), "test"))
    same(results("few", tmp_path), plainly(tmp_path))


def test_only_what_changed_is_read_again(tmp_path, monkeypatch):
    planned = written(tmp_path)
    results("few", tmp_path)
    read, row = [], compact.row
    monkeypatch.setattr(compact, "row", lambda *told: read.append(told[2]) or row(*told))
    results("few", tmp_path)
    assert read == []
    Ledger(tmp_path).commit(record_of(planned.trials[2], made_up(2), "test"))
    same(results("few", tmp_path), plainly(tmp_path))
    assert read == [planned.trials[2].id]


def test_a_sweep_planned_anew_has_its_new_trials_only(tmp_path):
    written(tmp_path)
    results("few", tmp_path)
    written(tmp_path, changes={"seeds": [2]})
    same(results("few", tmp_path), plainly(tmp_path))
    assert set(results("few", tmp_path)["seed"]) == {2}


@pytest.mark.parametrize("spoilt", [b"", b"PAR1 nonsense"])
def test_the_file_is_never_the_truth(tmp_path, spoilt):
    written(tmp_path)
    results("few", tmp_path)
    (tmp_path / "compacted" / "few.parquet").write_bytes(spoilt)
    same(results("few", tmp_path), plainly(tmp_path))


ASKING = """
import sys
from analysis import results
print(*(len(results("few", sys.argv[1])) for _ in range(30)))
"""


def test_two_may_ask_at_once_while_records_come(tmp_path):
    planned = written(tmp_path)
    n = len(plainly(tmp_path))
    command = [sys.executable, "-c", ASKING, str(tmp_path)]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results("few", tmp_path)
    Ledger(tmp_path).commit(record_of(planned.trials[2], made_up(2), "test"))
    told = [process.communicate(timeout=600)[0].split() for process in asking]
    assert [len(counts) for counts in told] == [30, 30]
    assert {int(count) for counts in told for count in counts} <= {n, n + 2}
    same(results("few", tmp_path), plainly(tmp_path))
    assert [path.name for path in (tmp_path / "compacted").iterdir()] == ["few.parquet"]


WORDS = {
    "model = 'logreg'": lambda t: t["model"] == "logreg",
    "metric = 'test/accuracy' and fraction < 1": lambda t: (
        (t["metric"] == "test/accuracy") & (t["fraction"] < 1)
    ),
    "value > 0.5": lambda t: t["value"] > 0.5,
    "value is null": lambda t: t["value"].isna(),
    "metric is null -- all that failed": lambda t: t["metric"].isna(),
    "reason like '%luck'": lambda t: t["reason"].str.endswith("luck"),
    "seed in (0, 2) or status = 'failed'": lambda t: (
        t["seed"].isin([0, 2]) | (t["status"] == "failed")
    ),
    "value > (select avg(value) from results)": lambda t: t["value"] > t["value"].mean(),
    "false": lambda t: t["seed"] < 0,
}


@pytest.mark.parametrize("where", WORDS)
def test_a_condition_keeps_the_rows_it_holds_for_in_their_order(tmp_path, where):
    written(tmp_path)
    table = plainly(tmp_path)
    expected = table[WORDS[where](table)].reset_index(drop=True)
    same(results("few", tmp_path, where=where), expected)


REFUSED = (
    *("modle = 1", "1 = 1; drop table trials", "(", "model = ", "", "1 = 1) --", "1, 2", "'open"),
    *("1 = 1) or (1 = 1", "1 = 1) union select (1", "1 = 1) order by (position", "1 = 1 /*"),
    *("1 = 1) union all (select 1", "true); select (1", "value > (", "model = 'a' limit 1"),
)


@pytest.mark.parametrize("where", REFUSED)
def test_a_condition_that_cannot_be_read_is_refused(tmp_path, where):
    written(tmp_path)
    with pytest.raises(ValueError, match="--where"):
        results("few", tmp_path, where=where)


def test_a_condition_reads_no_file(tmp_path):
    written(tmp_path)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(ValueError, match="--where"):
        results("few", tmp_path, where=f"exists (from read_csv('{tmp_path}/secret.csv'))")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_every_number_comes_back_to_the_last_bit(tmp_path_factory, values):
    storage = tmp_path_factory.mktemp("storage")
    planned = plan(SWEEP, storage, seeds=1, fractions=1)
    write_manifest(storage, planned.manifest())
    done = Done(metrics={f"m{i}": value for i, value in enumerate(values)})
    Ledger(storage).commit(record_of(planned.trials[0], done, "test"))
    assert results("few", storage)["value"].to_list() == values
    assert results("few", storage)["value"].to_list() == values


# ---- MLflow -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A tracking server of its own, with nothing in common with any storage."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{home}/m.db", "--workers", "1"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    uri = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 600
    while True:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=5)
            break
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < until, "no server in ten minutes"
            time.sleep(0.3)
    yield uri
    process.terminate()
    process.wait(30)


def test_a_server_alone_gives_the_same_table(tmp_path, server):
    sweep = Sweep(**{**vars(SWEEP), "name": "real", "seeds": range(2), "fractions": [1.0]})
    written(tmp_path, sweep, really=True)
    Syncer(tmp_path, "real", server).sync()
    nowhere = tmp_path / "not here"
    found = results("real", nowhere, source="mlflow", tracking_uri=server)
    same(found, results("real", tmp_path))
    assert found.dtypes.to_dict() == results("real", tmp_path).dtypes.to_dict()
    where = "metric = 'test/macro_f1' and model <> 'mean'"
    some = results("real", nowhere, where, source="mlflow", tracking_uri=server)
    same(some, results("real", tmp_path, where))
    assert len(some) == 4
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server)
    (experiment,) = [e for e in client.search_experiments() if e.name == "real"]
    run = client.search_runs([experiment.experiment_id], "tags.model = 'logreg'")[0]
    client.set_tag(run.info.run_id, "gauntlet.row", '{"sweep": "re')
    left = results("real", nowhere, source="mlflow", tracking_uri=server)
    (damaged,) = left[left["status"] == "damaged"].to_dict("records")
    assert damaged["trial_id"] == run.data.tags["trial_id"]
    assert "gauntlet sync" in damaged["reason"]
    assert (left["status"] == "ok").sum() == (found["trial_id"] != damaged["trial_id"]).sum()


def test_epochs_failures_and_new_plans_are_told_alike(tmp_path):
    written(tmp_path)
    Syncer(tmp_path, "few").sync()
    asked = {"source": "mlflow", "tracking_uri": default_uri(tmp_path)}
    same(results("few", **asked), results("few", tmp_path))
    same(results(**asked), results(storage=tmp_path))
    words = ["results", "few", "--format", "csv"]
    told = CliRunner().invoke(
        app, [*words, "--source", "mlflow", "--tracking-uri", asked["tracking_uri"]]
    )
    here = CliRunner().invoke(app, [*words, "--storage", str(tmp_path)])
    assert told.stdout == here.stdout != ""
    with pytest.raises(ValueError, match="no source 'mlfow'; there are: records, mlflow"):
        results("few", tmp_path, source="mlfow")
    written(tmp_path, changes={"seeds": [1], "fractions": [1.0]})
    Syncer(tmp_path, "few").sync()
    same(results("few", **asked), results("few", tmp_path))
    with pytest.raises(LookupError, match="no sweep 'fewer'; did you mean 'few'"):
        results("fewer", **asked)


def test_an_arm_named_anew_is_told_anew(tmp_path):
    written(tmp_path)
    Syncer(tmp_path, "few").sync()
    models = {"mean": {}, "logreg/feeble": {"C": 0.01}, "logreg": {"C": 1.0}}
    written(tmp_path, Sweep(**{**vars(SWEEP), "models": models}))
    Syncer(tmp_path, "few").sync()
    found = results("few", source="mlflow", tracking_uri=default_uri(tmp_path))
    assert "logreg/feeble" in set(found["model"])
    same(found, results("few", tmp_path))


def test_a_condition_that_takes_for_ever_is_ended(tmp_path, monkeypatch):
    from analysis import query

    monkeypatch.setattr(query, "LONGEST_S", 0.5)
    written(tmp_path)
    endless = "(select count(*) from range(10000000) a, range(10000000) b where a < b) = seed"
    with pytest.raises(ValueError, match=r"took longer than 0.5 s; ask for less"):
        results("few", tmp_path, where=endless)
    monkeypatch.setattr(query, "LONGEST_S", 60.0)
    assert len(results("few", tmp_path, where="model = 'mean' -- a remark")) > 0
