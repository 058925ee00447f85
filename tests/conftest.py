"""What every test may ask for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.protocols import Context
from trainables.store import Store

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"

for key in ("GAUNTLET_STORAGE", "MLFLOW_TRACKING_URI", "GAUNTLET_DEBUG"):
    os.environ.pop(key, None)  # a developer's own settings shall not reach the tests


@pytest.fixture
def ctx(tmp_path):
    """A context with an empty store."""
    return Context(seed=0, scratch=tmp_path, store=Store(tmp_path / "store"))


@pytest.fixture(scope="session")
def gauntlet():
    """The installed command, as a user types it: gauntlet("plan", "quickstart")."""

    def command(*words, expect=0, timeout=300, **environment):
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
