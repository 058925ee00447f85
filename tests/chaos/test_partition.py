"""A node that falls silent and comes back: what it computed meanwhile is not recorded again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.known_sweeps import find_sweep
from orchestrator.records import Ledger
from tests.chaos.machines import children, killed, parent, until
from trainables import catalog


@pytest.fixture
def sweep(tmp_path, chaotic, monkeypatch):
    """Two trials that go on when they are let; their ids by seed."""
    (tmp_path / "marks").mkdir()
    models = {"gated": {"marks": str(tmp_path / "marks")}}
    (tmp_path / "silent.py").write_text(
        "from orchestrator import Sweep\n"
        'SWEEP = Sweep(title="silent", task="annotation", datasets=["toy"], seeds=range(2),\n'
        f"              models={models!r})\n"
    )
    monkeypatch.syspath_prepend(chaotic["PYTHONPATH"])
    catalog.plugins.cache_clear()
    yield {trial.seed: trial.id for trial in find_sweep(str(tmp_path / "silent.py")).trials()}
    catalog.plugins.cache_clear()
    sys.modules.pop("chaos_models", None)


def test_a_node_that_comes_back_commits_nothing_twice(nodes, sweep, chaotic, tmp_path):
    storage, marks = tmp_path / "runs", tmp_path / "marks"
    command = [Path(sys.executable).with_name("gauntlet"), "run", tmp_path / "silent.py"]
    where = ["--storage", storage, "--address", nodes.address]
    driver = subprocess.Popen(
        list(map(str, [*command, *where, "--json"])),
        env={**os.environ, **chaotic},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    until(lambda: len(list(marks.glob("*.pid"))) == 2, what="the start of both trials")
    cut_off, scratch = (marks / "0.0.pid").read_text().split()
    raylet = parent(int(cut_off))
    assert raylet in nodes.raylets
    silent = [raylet, *children(raylet)]
    try:
        for pid in silent:
            os.kill(pid, signal.SIGSTOP)
        (marks / "1.0.go").touch()  # and so its node has room for the other
        until((marks / "0.1.pid").exists, what="a second start elsewhere")
        os.kill(int(cut_off), signal.SIGCONT)  # its own node still thinks that nothing happened
        (marks / "0.1.go").touch()
        path = storage / "records" / sweep[0][:2] / f"{sweep[0]}.json"
        until(path.exists, what="the record of the second start")
        recorded = path.read_bytes()
        (marks / "0.0.go").touch()
        until((marks / "0.0.done").exists, what="the end of the one that was cut off")
        until(lambda: not Path(scratch).exists(), what="its end, all told")
        assert driver.communicate(timeout=600)[0]
        assert driver.returncode == 0
        assert path.read_bytes() == recorded
        assert Ledger(storage).tries() == dict.fromkeys(sweep.values(), 1)
        assert (storage / "artifacts" / sweep[0] / "predictions.parquet").exists()
    finally:
        for pid in silent:
            killed(pid)
        driver.kill()
        nodes.replace(raylet)
