"""Storage that cannot be written: one sentence, nothing lost, and the same command goes on."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator import trouble
from orchestrator.execute import checkpoints_of, execute
from orchestrator.records import Ledger
from orchestrator.trouble import CannotWrite, in_words
from tests.chaos.machines import until
from trainables.store import Store
from trainables.trial import Trial

SWEEP = """
from orchestrator import Sweep
SWEEP = Sweep(title="full", task="annotation", datasets=["toy"], seeds=range(300),
              models={"mean": {}})
"""


@pytest.fixture
def small(tmp_path):
    """A file system of 8 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    if sys.platform != "linux" or os.getuid():
        pytest.skip("only root mounts a small file system")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(path):
    """Leave no room in the file system where this file is."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017


def test_a_full_disk_stops_a_sweep_in_one_sentence_and_loses_nothing(small, tmp_path, gauntlet):
    (tmp_path / "full.py").write_text(SWEEP)
    words = ("run", tmp_path / "full.py", "--storage", small / "runs", "--json")
    command = [Path(sys.executable).with_name("gauntlet"), *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as driver:
        until(lambda: len(list(small.glob("runs/records/*/*.json"))) > 5, 250, "some records")
        fill(small / "ballast")
        told = driver.communicate(timeout=900)[1]
    assert driver.returncode == 1, told
    sentences = [line for line in told.splitlines() if line.startswith("gauntlet: ")]
    assert len(sentences) == 1, told
    assert "cannot write to" in sentences[0]
    assert "No space left on device" in sentences[0]
    assert "Traceback" not in told
    before = {p: p.read_bytes() for p in small.glob("runs/records/*/*.json")}
    assert 5 < len(before) < 300
    assert all(json.loads(text)["status"] == "ok" for text in before.values())

    (small / "ballast").unlink()
    done = json.loads(gauntlet(*words, "seeds=60").stdout)
    assert done["statuses"] == {"ok": 60}
    assert {p: p.read_bytes() for p in before} == before


@pytest.fixture
def failing(monkeypatch):
    """Makes the next writes to disk fail; waits take no time."""
    monkeypatch.setattr(trouble.time, "sleep", lambda seconds: None)
    real, left = os.fsync, []

    def fsync(file):
        if left:
            raise OSError(left.pop(), "broken")
        return real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    return left


def test_a_hiccup_costs_no_result(failing, tmp_path):
    failing += [errno.ENOSPC, errno.EIO]
    trial = Trial("mean", "annotation", "toy", 0)
    assert execute(trial, tmp_path, code_version="test")["status"] == "ok"
    assert Ledger(tmp_path).settled(trial.id)
    assert [path.name for path in tmp_path.glob("records/*/*")] == [f"{trial.id}.json"]


def test_what_a_trial_can_go_on_from_stays_where_its_record_cannot_be_written(failing, tmp_path):
    failing += [errno.ENOSPC] * 99
    trial = Trial("mean", "annotation", "toy", 0)
    with (
        pytest.raises(CannotWrite, match=f"cannot write to {tmp_path}: broken"),
        in_words(tmp_path),
    ):
        execute(trial, tmp_path, code_version="test")
    assert checkpoints_of(tmp_path, trial.id).exists()
    assert not list(tmp_path.glob("records/*/*")), "no draft is left to take room"
    failing.clear()
    assert execute(trial, tmp_path, code_version="test")["status"] == "ok"
    assert not checkpoints_of(tmp_path, trial.id).exists()


def test_an_artifact_that_finds_no_room_leaves_nothing(small):
    def make(draft):
        (draft / "large").write_bytes(bytes(2**24))

    store = Store(small / "store")
    with pytest.raises(OSError, match="No space left"):
        store.get({"artifact": "large"}, make)
    assert shutil.disk_usage(small).used < 2**20
    assert store.get({"artifact": "small"}, lambda draft: None).exists()


def test_arrays_that_find_no_room_are_refused_before_they_are_written(small):
    """A mapped file would else be ended by a signal, in the middle of a trial."""
    from trainables.matrices import new_array

    with pytest.raises(OSError, match="No space left"):
        new_array(small / "large.npy", np.float32, (2**12, 2**10))
    made = new_array(small / "small.npy", np.float32, (2, 3))
    made[:] = 7
    made.flush()
    np.testing.assert_array_equal(np.load(small / "small.npy"), np.full((2, 3), 7))
