"""Sweeps as jobs of a real Ray with its dashboard and a token, through the commands."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from analysis import results

pytest.importorskip("aiohttp_cors", reason="jobs want ray[default]")

HEAD = """
import sys, ray
from ray._private.utils import write_ray_address
port, place = sys.argv[1:]
ray.init(num_cpus=2, include_dashboard=True, dashboard_host="127.0.0.1", dashboard_port=int(port),
         object_store_memory=100_000_000, log_to_driver=False, _temp_dir=place)
# as `ray start` does: else a job may take another Ray of this machine for its own
write_ray_address(ray.get_runtime_context().gcs_address, place)
print("up", flush=True)
sys.stdin.read()
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a Ray that wants a token, and the environment that has it."""
    token = tmp_path_factory.mktemp("token") / "auth_token"
    token.write_text("f" * 64)
    token.chmod(0o600)
    port = free_port()
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    place = tempfile.mkdtemp(prefix="ray")  # short: Ray makes sockets in it
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD, str(port), place],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = ""
    while "up" not in said:
        said = head.stdout.readline()
        assert said or head.poll() is None, "Ray did not start"
    yield f"http://127.0.0.1:{port}", environment
    head.stdin.close()  # its end of input is its end: it shuts its own Ray down
    head.wait(60)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def on_it(gauntlet, cluster):
    """A command told of the cluster."""

    def command(*words, **options):
        address, environment = cluster
        return gauntlet(*words, "--address", address, **{**environment, **options})

    return command


@pytest.fixture(scope="module")
def submitted(cluster, gauntlet, tmp_path_factory):
    """A sweep of one's own file, submitted and followed to its end."""
    place = tmp_path_factory.mktemp("submitted")
    (place / "shipped.py").write_text(SWEEP)
    address, environment = cluster
    words = ("submit", place / "shipped.py", "--address", address, "--storage", place / "runs")
    done = gauntlet(*words, "--follow", timeout=200, **environment)
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


def test_a_job_is_cancelled_midway_and_what_it_recorded_stands(on_it, tmp_path):
    storage = tmp_path / "runs"
    words = ("submit", "quickstart", "--only", "mean", "--storage", storage)
    words = (*words, 'datasets=["toy"]', "seeds=300", "fractions=[1.0]", "--json")
    job = json.loads(on_it(*words).stdout)["job"]
    deadline = time.monotonic() + 120
    while len(list(storage.glob("records/*/*.json"))) < 3:
        assert time.monotonic() < deadline, on_it("logs", job).stdout
        time.sleep(0.2)
    assert "STOPPED" in on_it("cancel", job).stdout
    stood = len(list(storage.glob("records/*/*.json")))
    assert 3 <= stood < 300
    assert "STOPPED" in on_it("status", job, "--watch").stdout


def test_bad_input_is_one_sentence(on_it, gauntlet, cluster, tmp_path):
    address, environment = cluster
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
    asked = urllib.request.Request(f"{cluster[0]}/api/jobs/")
    if token:
        asked.add_header("Authorization", f"Bearer {token}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code in (401, 403)
