"""Which Ray a run starts or joins, and what it says where that dies or is another's."""

import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator import ray_start
from orchestrator.reachable import cluster
from orchestrator.storage import opened

SLOW = """
from orchestrator import Sweep
SWEEP = Sweep("long", "annotation", {"logreg": {}}, ["toy"], seeds=range(400), name="long")
"""


@pytest.fixture
def trap(tmp_path):
    """The environment of a machine where all that Ray looks for leads to something silent."""
    with socket.socket() as silent:
        silent.bind(("0.0.0.0", 0))
        silent.listen()
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        tmp, home = tmp_path / "t", tmp_path / "home"
        (tmp / "ray").mkdir(parents=True)
        home.mkdir()
        (tmp / "ray/ray_current_cluster").write_text(at)
        yield {"RAY_ADDRESS": at, "RAY_TMPDIR": str(tmp), "TMPDIR": str(tmp), "HOME": str(home)}


def test_a_run_starts_a_ray_of_its_own_whatever_lies_about(trap, gauntlet, tmp_path):
    file = tmp_path / "one.py"
    file.write_text(SLOW.replace("range(400)", "[0]"))
    done = gauntlet("run", file, "--storage", tmp_path / "runs", **trap)
    assert "of 1 planned 1 ok" in done.stdout
    token = Path(trap["HOME"]) / ".ray/auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert not list(Path(trap["TMPDIR"]).glob("ray-*")), "its folder is gone"


def test_a_token_that_others_could_read_is_made_private(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    token = tmp_path / ".ray/auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    ray_start.keep_token_private()
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text() == "secret"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "no Ray answers at --address 127.0.0.1:1 (Connection refused)"),
        ("127.0.0.1", "no Ray answers at --address 127.0.0.1"),
        ("nowhere.invalid:6379", "no Ray answers at --address nowhere.invalid:6379"),
        ("127.0.0.1:port", "no Ray answers at --address 127.0.0.1:port"),
    ],
)
def test_a_wrong_address_is_one_sentence_at_once(tmp_path, gauntlet, address, said):
    began = time.monotonic()
    words = ("run", "quickstart", "seeds=1", "--storage", tmp_path, "--address", address)
    done = gauntlet(*words, expect=2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert time.monotonic() - began < 60, "on a busy machine; a quiet one takes 5 s"


def test_what_is_no_ray_is_one_sentence(trap):
    with pytest.raises(ValueError, match="does not answer as a Ray would that takes our token"):
        ray_start.refuse_unlike(trap["RAY_ADDRESS"])


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"python_version": "3.11.99"}, "runs Python 3.11.99 and this machine"),
        ({"ray_version": "2.0.0"}, "runs Ray 2.0.0 and this machine"),
    ],
)
def test_a_cluster_of_other_versions_is_one_sentence(monkeypatch, trap, versions, said):
    import ray

    same = {"python_version": platform.python_version(), "ray_version": ray.__version__}
    monkeypatch.setattr(ray_start, "metadata", lambda at: same | versions)
    with pytest.raises(ValueError, match=said):
        ray_start.refuse_unlike(trap["RAY_ADDRESS"])
    found = cluster(trap["RAY_ADDRESS"])[-1]
    assert not found["ok"]
    assert said in found["found"]


def children_of(pid):
    """Processes that a process has started, with their commands."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if parent == pid:
            found[int(path.name)] = command
    return found


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds Ray's processes in /proc")
@pytest.mark.parametrize("victim", ["raylet/raylet", "gcs/gcs_server"])
def test_a_ray_that_dies_is_one_sentence_and_what_is_recorded_stands(tmp_path, victim):
    file, storage = tmp_path / "long.py", tmp_path / "runs"
    file.write_text(SLOW)
    command = [Path(sys.executable).with_name("gauntlet"), "run", file, "--storage", storage]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reader = threading.Timer(600, driver.kill)
    reader.start()
    try:
        while len(list(storage.glob("records/??/*.json"))) < 3:
            assert driver.poll() is None
            time.sleep(0.1)
        (pid,) = (pid for pid, words in children_of(driver.pid).items() if victim in words[:300])
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        _, err = driver.communicate()
    finally:
        reader.cancel()
        if driver.poll() is None:
            driver.kill()
    assert driver.returncode == 1
    assert time.monotonic() - began < 60
    assert "was ended from outside; what is recorded stands, so run the same again" in err
    assert len(err.strip().splitlines()) == 1, err
    assert len(list(opened(storage).glob("records/??/*.json"))) >= 3
