"""Sweeps as jobs of a real Ray with its dashboard and a token, through the commands."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

from analysis import results
from orchestrator.reachable import cluster as examined

pytest.importorskip("aiohttp_cors", reason="jobs want ray[default]")

MODELS = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

@dataclass(frozen=True)
class Glad:
    card: ClassVar = Card(summary="is glad of a GPU, and does without", gpus=1.0)
    def fit_predict(self, train, valid, test, ctx):
        return Predictions(test=np.full(test.n_obs, "type 0"), valid=np.full(valid.n_obs, "type 0"))

@dataclass(frozen=True)
class Vast:
    card: ClassVar = Card(summary="wants more cores than anyone has", cpus=9999)
    def fit_predict(self, train, valid, test, ctx):
        raise AssertionError
"""
SWEEP = """
from orchestrator import Sweep
SWEEP = Sweep(title="shipped", task="annotation", datasets=["toy"], models={"mean": {}},
              seeds=range(4))
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster(NamedTuple):
    """A Ray that wants a token: its dashboard, the environment that has it, and Ray's own door."""

    dashboard: str
    environment: dict[str, str]
    gcs: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Such a Ray, on this machine, which has no GPU for it."""
    token = tmp_path_factory.mktemp("token") / "auth_token"
    token.write_text("f" * 64)
    token.chmod(0o600)
    site = tmp_path_factory.mktemp("site")
    (site / "cluster_models.py").write_text(MODELS)
    info = site / "cluster_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cluster-models\nVersion: 1.0\n")
    points = "[gauntlet.models]\nglad = cluster_models:Glad\nvast = cluster_models:Vast\n"
    (info / "entry_points.txt").write_text(points)
    environment = {
        "PYTHONPATH": str(site),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    place = Path(tempfile.mkdtemp(prefix="ray"))  # short: Ray makes sockets in it
    head, port, gcs = started(place, environment)
    try:
        yield Cluster(f"http://127.0.0.1:{port}", environment, gcs)
    finally:
        head.terminate()  # `--block` ends what it started, and nobody else's
        head.wait(600)
        shutil.rmtree(place, ignore_errors=True)


def started(place, environment):
    """A head, its dashboard's port, its Ray's address. Ray waits for itself for half a minute,
    which a busy machine may take, so it is asked three times."""
    for _ in range(3):
        port = free_port()
        words = ["--head", "--block", "--port=0", f"--temp-dir={place}", "--num-cpus=2"]
        words += ["--num-gpus=0", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}"]
        words += ["--disable-usage-stats", "--object-store-memory=100000000"]
        # ports that another Ray of this machine would have, too
        words += ["--dashboard-agent-listen-port=0", f"--ray-client-server-port={free_port()}"]
        words += ["--min-worker-port=0", "--max-worker-port=0"]
        head = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", *words],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while head.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return head, port, (place / "ray_current_cluster").read_text().strip()
            time.sleep(0.2)
    raise AssertionError("Ray did not start, three times")


@pytest.fixture
def on_it(gauntlet, cluster):
    """A command told of the cluster."""

    def command(*words, **options):
        address, environment, _ = cluster
        return gauntlet(*words, "--address", address, **{**environment, **options})

    return command


@pytest.fixture(scope="module")
def submitted(cluster, gauntlet, guarded_mlflow, tmp_path_factory):
    """A sweep of one's own file, submitted and followed to its end, MLflow's password with it."""
    place = tmp_path_factory.mktemp("submitted")
    (place / "shipped.py").write_text(SWEEP)
    words = ("submit", place / "shipped.py", "--address", cluster.dashboard, "--follow")
    words = (*words, "--storage", place / "runs", "--tracking-uri", guarded_mlflow.url)
    done = gauntlet(*words, timeout=900, **cluster.environment, **guarded_mlflow.login)
    return place / "runs", done


def test_a_submitted_sweep_runs_to_its_end_with_the_shipped_code(submitted, on_it):
    storage, done = submitted
    assert "4 trials" in done.stdout, "the job's own output is followed"
    assert done.stderr.strip().endswith("SUCCEEDED")
    table = results("shipped", storage)
    assert set(table.status) == {"ok"}
    assert table.trial_id.nunique() == 4
    [job] = json.loads(on_it("status", "shipped", "--json").stdout)
    assert job["status"] == "SUCCEEDED"
    assert set(table.code_version) == {job["code_version"]}
    assert ".sha256." in job["code_version"].replace("+", ".")
    assert "4 trials" in on_it("logs", "shipped").stdout


def test_a_job_mirrors_to_an_mlflow_whose_password_came_with_it(
    submitted, gauntlet, guarded_mlflow
):
    words = ("results", "shipped", "--source", "mlflow", "--tracking-uri", guarded_mlflow.url)
    told = json.loads(gauntlet(*words, "--format", "json", **guarded_mlflow.login).stdout)
    recorded = results("shipped", submitted[0])
    assert {row["trial_id"] for row in told} == set(recorded.trial_id)


def sweep_of(model, place):
    """A file with a sweep of one trial."""
    path = place / f"only_{model}.py"
    path.write_text(SWEEP.replace("mean", model).replace("range(4)", "[0]"))
    return path


@pytest.fixture(scope="module")
def lacking(cluster, gauntlet, guarded_mlflow, tmp_path_factory):
    """A job of a model that asks for a GPU where none is, without MLflow's password."""
    place = tmp_path_factory.mktemp("lacking")
    words = ("submit", sweep_of("glad", place), "--follow", "--storage", place / "runs")
    words = (*words, "--address", cluster.dashboard, "--tracking-uri", guarded_mlflow.url)
    done = gauntlet(*words, HOME=str(place), **cluster.environment)
    return results("only_glad", place / "runs"), " ".join(done.stdout.split())


def test_where_no_gpu_is_a_model_that_asks_for_one_runs_without_and_is_named(lacking):
    table, said = lacking
    assert "no machine here has a GPU; without one will run: glad" in said
    assert set(table.status) == {"ok"}


def test_a_job_without_the_password_keeps_its_records_and_says_what_mlflow_said(lacking):
    table, said = lacking
    assert "401" in said
    assert len(table)


def test_what_no_machine_of_the_cluster_can_hold_is_refused_at_once(on_it, tmp_path):
    words = ("submit", sweep_of("vast", tmp_path), "--follow", "--storage", tmp_path / "runs")
    done = on_it(*words, expect=1)
    said = " ".join(done.stdout.split())
    assert "vast asks for 9999 CPU and no machine of this cluster can hold it" in said
    assert "it has: 2 CPU" in said


class Tunnel:
    """A way to the cluster that breaks once `omen` has gone through it."""

    def __init__(self, port, omen):
        self.port, self.omen, self.ends = port, omen, []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self.let_in, daemon=True).start()

    def let_in(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.door.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
                self.ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, sink):
        with contextlib.suppress(OSError):
            while sent := source.recv(65536):
                if self.omen in sent:
                    return self.breaks()
                sink.sendall(sent)
            sink.shutdown(socket.SHUT_WR)

    def breaks(self):
        for end in (self.door, *self.ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def broken(gauntlet, cluster):
    """Runs a command through a tunnel that breaks on a word, and reads what it says of that."""

    def command(omen, *words):
        tunnel = Tunnel(int(cluster.dashboard.rpartition(":")[2]), omen)
        done = gauntlet(*words, "--address", tunnel.address, expect=2, **cluster.environment)
        said = done.stderr.strip().splitlines()[-1]
        assert said.startswith(f"gauntlet: the connection to {tunnel.address} was lost")
        assert said.endswith(f"gauntlet status --address {tunnel.address}")
        assert "Traceback" not in done.stderr

    return command


@pytest.mark.parametrize(
    ("omen", "words"),
    [
        (b"POST /api/jobs/", ("submit", "quickstart", "--only", "mean", "--storage", "/nowhere")),
        (b"logs HTTP", ("logs", "shipped")),
        (b"4 trials", ("logs", "shipped", "--follow")),
        (b"GET /api/jobs/", ("status",)),
    ],
)
def test_a_connection_that_drops_is_one_sentence(submitted, broken, omen, words):
    broken(omen, *words)


def test_the_doctor_tells_a_good_token_from_a_bad_one(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", cluster.environment["RAY_AUTH_TOKEN_PATH"])
    token, there = examined(cluster.dashboard)
    assert token["ok"]
    assert "mode 600" in token["found"]
    assert there["ok"]
    open_to_all = tmp_path / "auth_token"
    open_to_all.write_text("f" * 64)
    open_to_all.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(open_to_all))
    token, there = examined(cluster.dashboard)
    assert f"chmod 600 {open_to_all}" in token["advice"]
    assert there["ok"]
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    assert "does not take this token" in examined(cluster.dashboard)[1]["advice"]


@pytest.mark.parametrize(("token", "expect"), [("f" * 64, 0), ("0" * 64, 3)])
def test_the_doctor_joins_rays_own_door_with_the_right_token_only(
    gauntlet, cluster, tmp_path, token, expect
):
    words = ("doctor", "--storage", tmp_path, "--address", cluster.gcs, "--json")
    environment = {**cluster.environment, "RAY_AUTH_TOKEN": token}
    found = json.loads(gauntlet(*words, expect=expect, **environment).stdout)
    [there] = [row for row in found if row["check"] == "cluster"]
    assert ("1 machines, 2 CPU, 0 GPU" in there["found"]) == (expect == 0)
    assert ("with its token" in there["advice"]) == (expect != 0)


def test_a_job_is_cancelled_midway_and_what_it_recorded_stands(on_it, broken, tmp_path):
    storage = tmp_path / "runs"
    words = ("submit", "quickstart", "--only", "mean", "--storage", storage)
    words = (*words, 'datasets=["toy"]', "seeds=5000", "fractions=[1.0]", "--json")
    job = json.loads(on_it(*words).stdout)["job"]
    deadline = time.monotonic() + 600
    while len(list(storage.glob("records/*/*.json"))) < 3:
        assert time.monotonic() < deadline, on_it("logs", job).stdout
        time.sleep(0.2)
    broken(b"/stop HTTP", "cancel", job)
    assert "STOPPED" in on_it("cancel", job).stdout
    stood = len(list(storage.glob("records/*/*.json")))
    assert 3 <= stood < 5000
    assert "STOPPED" in on_it("status", job, "--watch").stdout


def test_bad_input_is_one_sentence(on_it, gauntlet, cluster, tmp_path):
    address, environment, _ = cluster
    words = ("--address", f"http://127.0.0.1:{free_port()}")
    told = gauntlet("status", *words, expect=2).stderr
    assert "no Ray cluster answers" in told
    assert "ssh -N -L" in told
    assert "write http://HEAD:8265" in gauntlet("status", "--address", "head", expect=2).stderr
    wrong = {**environment, "RAY_AUTH_TOKEN": "0" * 64}
    told = gauntlet("status", "--address", address, expect=2, **wrong).stderr
    assert "does not take this token" in told
    assert "has no job 'nothing'" in on_it("logs", "nothing", expect=2).stderr
    assert "quickstart" in on_it("submit", "quickstar", expect=2).stderr
    assert "is no change" in on_it("submit", "quickstart", "seeds", expect=2).stderr
    cells = tmp_path / "mine.h5ad"
    cells.touch()
    told = on_it("submit", "quickstart", "--data", "mine.h5ad", expect=2).stderr
    assert "the cluster cannot see mine.h5ad" in told
    words = ("submit", "quickstart", "--data", cells, "--storage", "/nowhere/shared")
    assert "it is on this machine" in on_it(*words, expect=2).stderr
    told = on_it("submit", "quickstart", "--storage", "runs", expect=2).stderr
    assert "--storage runs is relative" in told


def test_a_job_without_a_storage_says_so(on_it):
    done = on_it("submit", "quickstart", "--follow", expect=1)
    assert "sets no GAUNTLET_STORAGE" in done.stdout


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_the_dashboard_refuses_who_has_no_token(cluster, token):
    asked = urllib.request.Request(f"{cluster.dashboard}/api/jobs/")
    if token:
        asked.add_header("Authorization", f"Bearer {token}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code in (401, 403)
