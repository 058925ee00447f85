"""`gauntlet doctor` finds what is wrong, and says what to do about it."""

import errno
import importlib.metadata
import json
import os
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestrator import doctor
from orchestrator.reachable import cluster, tracking

CHECK_FAILED = 3


@pytest.fixture
def examined(gauntlet, tmp_path):
    """The findings of the command, by name of check."""

    def command(*words, expect=0, **environment):
        words = ("doctor", "--storage", tmp_path / "runs", "--json", *words)
        environment = {"HOME": str(tmp_path), **environment}
        found = json.loads(gauntlet(*words, expect=expect, **environment).stdout)
        return {row["check"]: row for row in found}

    return command


def test_a_machine_that_can_run_sweeps_has_nothing_to_mend(examined, tmp_path):
    found = examined()
    assert all(row["ok"] for row in found.values())
    assert not any(row["advice"] for name, row in found.items() if not name.startswith("model "))
    assert {"python", "torch", "disk", "storage", "clock of the storage"} <= set(found)
    assert "cluster" not in found
    assert not (tmp_path / "runs").exists(), "it leaves nothing behind"


def test_mlflow_without_our_password_is_a_fault_that_says_what_to_set(examined, guarded_mlflow):
    found = examined("--tracking-uri", guarded_mlflow.url, expect=CHECK_FAILED)
    assert "it wants a password; set MLFLOW_TRACKING_USERNAME" in found["mlflow server"]["advice"]
    assert found["clock of mlflow"]["ok"]


def test_a_right_password_is_told_from_a_wrong_one(guarded_mlflow, monkeypatch):
    for name, value in guarded_mlflow.login.items():
        monkeypatch.setenv(name, value)
    [found, clock] = tracking(guarded_mlflow.url)
    assert found["ok"]
    assert clock["ok"]
    assert "MLflow 3." in found["found"]
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    [found, _] = tracking(guarded_mlflow.url)
    assert "does not take the password of 'gauntlet'" in found["advice"]


def test_a_server_that_is_down_comes_with_the_way_to_it(examined):
    found = examined("--tracking-uri", "http://127.0.0.1:1", expect=CHECK_FAILED)
    assert "does not answer" in found["mlflow server"]["found"]
    assert "ssh -N -L 5000" in found["mlflow server"]["advice"]


@contextmanager
def server(status, body, ahead=0.0):
    """Something that answers everything alike, and whose clock is `ahead` seconds."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    here = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=here.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{here.server_port}"
    here.shutdown()
    here.server_close()


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (404, b"not here", "no MLflow would say that"),
        (403, b"Invalid Host header - possible DNS rebinding attack detected", "--allowed-hosts"),
        (403, b"Permission denied", "may not read experiments"),
    ],
)
def test_what_is_no_mlflow_or_refuses_us_is_told_apart(status, body, advice):
    with server(status, body) as url:
        [found, _] = tracking(url)
    assert not found["ok"]
    assert advice in found["advice"]


@pytest.mark.parametrize("ahead", [3600, -3600, 0])
def test_a_server_with_another_time_is_noticed(ahead):
    with server(200, b"{}", ahead) as url:
        [_, clock] = tracking(url)
    assert clock["ok"] == (ahead == 0)
    if ahead:
        assert clock["found"].startswith("+3" if ahead > 0 else "-3")
        assert "timedatectl" in clock["advice"]


def test_a_folder_that_cannot_be_written_or_linked_is_told_with_what_failed(
    examined, monkeypatch, tmp_path
):
    found = examined("--storage", "/proc/nowhere", expect=CHECK_FAILED)
    assert "writing" in found["storage"]["found"]
    assert "--storage" in found["storage"]["advice"]

    def refuses(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    [told] = doctor.keeps_records(tmp_path / "runs")
    assert told["found"].endswith("a hard link: Operation not permitted")
    assert not (tmp_path / "runs").exists()


def test_a_folder_where_a_second_link_replaces_the_first_is_refused(monkeypatch, tmp_path):
    def replaces(source, target):
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(os, "link", replaces)
    [told] = doctor.keeps_records(tmp_path / "runs")
    assert "refusing a second link" in told["found"]


def test_a_storage_with_another_time_is_noticed(monkeypatch, tmp_path):
    real = time.time
    monkeypatch.setattr(doctor.time, "time", lambda: real() - 60)
    [_, told] = doctor.keeps_records(tmp_path / "runs")
    assert not told["ok"]
    assert told["found"].startswith(("+60", "+59"))


def test_a_package_of_another_version_is_named_with_the_wanted_one(monkeypatch):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "1.0" if name == "ray" else real(name)
    )
    told = doctor.package("ray")
    assert not told["ok"]
    assert ">=2.59" in told["advice"]
    assert doctor.package("numpy")["ok"]


def test_an_address_where_nothing_listens_is_told_at_once(examined, monkeypatch):
    token = {"RAY_AUTH_TOKEN": "f" * 64}
    found = examined("--address", "127.0.0.1:1", expect=CHECK_FAILED, **token)
    assert "refused" in found["cluster"]["found"]
    assert found["ray token"]["ok"]
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nowhere")
    [told, there] = cluster("http://127.0.0.1:1")
    assert "copy the cluster's" in told["advice"]
    assert "no Ray cluster answers" in there["advice"]
