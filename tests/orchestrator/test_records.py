"""The ledger: written once, read whole."""

import json
import multiprocessing
from pathlib import Path

import pytest

from orchestrator.execute import Done, execute, record_of
from orchestrator.records import Ledger
from orchestrator.rows import COLUMNS, about
from trainables.trial import Trial

TRIAL = Trial("mean", "annotation", "toy", 0)


def record(trial_id="ab12", status="ok", **more):
    """A whole record, of the kind that workers write."""
    whole = record_of(TRIAL, Done(started_at="2026-01-01T00:00:00.000+00:00"), "test")
    whole |= {"ended_at": "2026-01-01T00:00:01.000+00:00"}
    return whole | {"trial_id": trial_id, "status": status, **more}


def test_a_result_is_written_once(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.commit(record(value=1))
    assert not ledger.commit(record(value=2))
    assert ledger.settled("ab12") == record(value=1)


def test_failures_are_kept_and_a_success_stands_above_them(tmp_path):
    ledger = Ledger(tmp_path)
    for attempt in range(11):
        ledger.commit(record(status="failed", attempt=attempt))
    assert ledger.settled("ab12") is None
    assert ledger.last("ab12")["attempt"] == 10
    ledger.commit(record())
    assert ledger.last("ab12")["status"] == "ok"
    assert ledger.settled_ids() == {"ab12"}
    assert len(list((tmp_path / "records" / "ab").glob("ab12.*.json"))) == 11


def race(arguments):
    storage, writer = arguments
    ledger = Ledger(storage)
    return sum(ledger.commit(record(f"{i:04x}", writer=writer)) for i in range(50))


def test_racing_writers_have_one_winner_each(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        won = pool.map(race, [(tmp_path, writer) for writer in range(4)])
    assert sum(won) == 50
    assert len(Ledger(tmp_path).settled_ids()) == 50


def test_a_half_written_record_is_never_seen(tmp_path):
    with pytest.raises(TypeError):
        Ledger(tmp_path).commit(record(value=object()))
    assert Ledger(tmp_path).last("ab12") is None


def test_a_trial_becomes_a_record_and_rows(tmp_path):
    trial = Trial("mean", "annotation", "toy", 0)
    found = execute(trial, tmp_path, code_version="test")
    assert found["status"] == "ok"
    assert found["cost"]["wall_s"] > 0
    assert found["cost"]["peak_rss_mb"] > 10
    shared = about(found, "a sweep", {trial.id: trial.spec()})
    assert set(COLUMNS) - set(shared) == {"metric", "value"}
    assert set(found["metrics"]) >= {"test/accuracy", "valid/macro_f1"}
    assert shared["n_eval"] == 48
    saved = {path.name for path in (tmp_path / "artifacts" / trial.id).iterdir()}
    assert saved >= {"predictions.parquet", "per_class.csv", "confusion.csv"}


def test_a_settled_trial_is_not_run_again(tmp_path):
    trial = Trial("mean", "annotation", "toy", 0)
    first = execute(trial, tmp_path, code_version="test")
    assert execute(trial, tmp_path, code_version="other") == first


def test_an_error_is_an_outcome_with_its_trace(tmp_path):
    trial = Trial("logreg", "annotation", "toy", 0, 1.0, {"folds": 1})
    found = execute(trial, tmp_path, code_version="test")
    assert found["status"] == "failed"
    assert "fold" in found["reason"]
    assert "Traceback" in found["trace"]
    assert "Traceback" in Path(tmp_path / "artifacts" / trial.id / "log.txt").read_text()
    assert found["metrics"] == {}
    assert json.dumps(about(found, "s", {trial.id: trial.spec()}))
