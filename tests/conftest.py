"""What every test may ask for."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainables.protocols import Context
from trainables.store import Store

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

for key in ("GAUNTLET_STORAGE", "MLFLOW_TRACKING_URI", "GAUNTLET_DEBUG", "PYTEST_ADDOPTS"):
    os.environ.pop(key, None)  # a developer's own settings shall not reach the tests

# else each of the many processes that the tests start compiles all it imports anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

TURNS = {
    "ray too": (
        *("chaos", "cluster", "benchmarks", "orchestrator/test_environments"),
        *("orchestrator/test_external_files", "orchestrator/test_ray_start"),
    ),
    "ray": ("orchestrator",),
}
"""What tests are named that run sweeps, in two queues of about the same length."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """All that starts Ray runs in two processes, and first, as it takes longest.

    More sweeps side by side would wait for each other's processes. (Of pytest 9.2 xdist does not
    see its own groups.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            for queue, rooms in TURNS.items():
                if nodeid.startswith(tuple(f"tests/{room}" for room in rooms)):
                    return queue
            return nodeid

    return Scheduling(config, log)


@pytest.fixture
def ctx(tmp_path):
    """A context with an empty store."""
    return Context(seed=0, scratch=tmp_path, store=Store(tmp_path / "store"))


@pytest.fixture(scope="session")
def gauntlet():
    """The installed command, as a user types it: gauntlet("plan", "quickstart").

    Here and in all tests a limit only ends what hangs: it is ten times what a quiet machine takes.
    """

    def command(*words, expect=0, timeout=900, **environment):
        done = subprocess.run(
            [Path(sys.executable).with_name("gauntlet"), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "COLUMNS": "120", **environment},
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return command


@pytest.fixture(scope="session")
def shared_data():
    """Real annotated cells that lie beside a developer's checkout."""
    if not (SHARED / "data").exists():
        pytest.skip("no ../shared/data beside this checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory, gauntlet):
    """The storage and the output of one undisturbed quickstart, shared by all tests."""
    storage = tmp_path_factory.mktemp("undisturbed")
    return storage, gauntlet("run", "quickstart", "--storage", storage).stdout


@pytest.fixture(scope="session")
def guarded_mlflow(tmp_path_factory):
    """MLflow as a cluster's head starts it, by deploy/mlflow.sh: its url, the user and password
    as an environment, and how to start it again. Its database is SQLite."""
    pytest.importorskip("flask_wtf", reason="MLflow's passwords want flask-wtf")
    home = tmp_path_factory.mktemp("head")
    (home / ".mlflow").mkdir()
    told = {"MLFLOW_TRACKING_USERNAME": "gauntlet", "MLFLOW_TRACKING_PASSWORD": "correct horse"}
    lines = [f"{key.lower()} = {value}" for key, value in told.items()]
    (home / ".mlflow/credentials").write_text("\n".join(["[mlflow]", *lines]) + "\n")
    (home / "gauntlet").mkdir()
    (home / "gauntlet/deploy").mkdir()
    shutil.copy(ROOT / "deploy/mlflow.sh", home / "gauntlet/deploy")
    (home / "gauntlet/.venv").symlink_to(sys.prefix)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    script = home / "gauntlet/deploy/mlflow.sh"
    words = ["bash", script, f"sqlite:///{home}/mlflow.db", f"{home}/artifacts", str(port)]
    began = []

    def start():
        options = {"env": {**os.environ, "HOME": str(home)}, "start_new_session": True}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        began.append(subprocess.Popen(words, **options, **pipes))
        out, err = began[-1].communicate(timeout=900)
        return SimpleNamespace(returncode=began[-1].returncode, stdout=out, stderr=err)

    try:
        first = start()
        assert first.returncode == 0, first.stderr
        url = f"http://127.0.0.1:{port}"
        yield SimpleNamespace(url=url, port=port, login=told, home=home, start=start)
    finally:
        for script in began:  # the server is in the group of the script that started it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)
