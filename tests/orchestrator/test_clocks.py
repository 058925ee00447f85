"""Drivers whose clocks disagree share one storage: its clock alone says who is alive."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.bucket import Bucket
from orchestrator.refusals import trouble
from trainables.leases import Leases

CLOCK = """
import os, platform, time
off, seconds, nanoseconds = float(os.environ["CLOCK_OFF"]), time.time, time.time_ns
time.time = lambda: seconds() + off
time.time_ns = lambda: nanoseconds() + int(off * 10**9)
name = f"{platform.node()}-{off:g}"
platform.node = lambda: name  # so that signs of life count, as between machines
from trainables import leases
leases.BEAT, leases.DEAD_AFTER = 1.0, 20.0
"""
"""Sets a process's clock off; Python runs it before anything else."""
MODEL = """
import os, time, uuid
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

@dataclass(frozen=True)
class Marked:
    marks: str = ""
    card: ClassVar = Card(summary="leaves a mark each time it runs")
    def fit_predict(self, train, valid, test, ctx):
        Path(self.marks, f"{ctx.seed}-{uuid.uuid4().hex}").touch()
        time.sleep(0.5)
        return Predictions(test=np.full(test.n_obs, "type 0"), valid=np.full(valid.n_obs, "type 0"))
"""
HOLDER = """
import sys
from pathlib import Path
from orchestrator.bucket import Bucket
from orchestrator.refusals import trouble
from trainables.leases import Leases
with Leases(Path(sys.argv[1])) as mine:
    print(*mine.take(sys.argv[2:]), flush=True)
    sys.stdin.readline()
"""
DAY = 86_400


@pytest.fixture
def skewed(tmp_path):
    """Return the environment of a process whose clock is off by so many seconds."""
    site = tmp_path / "site"
    info = site / "marked-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(CLOCK)
    (site / "marked_model.py").write_text(MODEL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: marked\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gauntlet.models]\nmarked = marked_model:Marked\n")
    return lambda off: {**os.environ, "PYTHONPATH": str(site), "CLOCK_OFF": str(off)}


@pytest.mark.parametrize("off", [DAY, -DAY, 90, -90])
def test_a_holder_whose_clock_is_off_lives_until_it_dies(off, skewed, tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.leases.BEAT", 0.2)
    monkeypatch.setattr("trainables.leases.DEAD_AFTER", 5.0)
    place = tmp_path / "leases"
    with Leases(place) as mine:
        mine.take(["ours"])
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(place), "ours", "its"],
            env=skewed(off),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout.readline().split() == ["its"], "it respects a lease of the right clock"
        time.sleep(2)
        assert mine.take(["its"]) == set()
        holder.kill()
        holder.wait()
        deadline = time.monotonic() + 120
        while not mine.take(["its"]):
            assert time.monotonic() < deadline, "the dead keep it"
            time.sleep(0.2)


def test_drivers_whose_clocks_disagree_run_no_trial_twice(skewed, tmp_path):
    """The one that has the trials is killed; another takes over what it had not done."""
    storage, marks, sweep = tmp_path / "runs", tmp_path / "marks", tmp_path / "clocks.py"
    marks.mkdir()
    models = {"marked": {"marks": str(marks)}}
    sweep.write_text(
        "from orchestrator import Sweep\n"
        'SWEEP = Sweep(title="clocks", task="annotation", datasets=["toy"],\n'
        f"              models={models!r}, seeds=range(16))\n"
    )
    command = [str(Path(sys.executable).with_name("gauntlet")), "run", str(sweep), "--json"]
    drivers = {
        off: subprocess.Popen(
            [*command, "--storage", str(storage)],
            env=skewed(off),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for off in (0, DAY, -90)
    }
    deadline = time.monotonic() + 600
    while len(list(marks.iterdir())) < 4:
        assert time.monotonic() < deadline, "nothing has started"
        assert all(driver.poll() is None for driver in drivers.values())
        time.sleep(0.1)
    [lease, *_] = [p for p in (storage / "leases").glob("*.1") if not p.name.startswith("mlflow")]
    holder = json.loads((storage / "leases/holders" / lease.read_text()).read_text())["pid"]
    [first] = [off for off, driver in drivers.items() if driver.pid == holder]
    drivers[first].kill()
    drivers.pop(first).communicate()
    for driver in drivers.values():
        said, trouble = driver.communicate(timeout=900)
        assert driver.returncode == 0, trouble
        assert json.loads(said)["statuses"] == {"ok": 16}
        assert "Traceback" not in trouble
    runs = Counter(mark.name.partition("-")[0] for mark in marks.iterdir())
    assert len(runs) == 16
    assert runs.total() <= 18, "only what the killed driver was at may have run again"


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "RequestExpired"])
def test_a_store_that_refuses_the_clock_is_one_sentence(code, monkeypatch):
    ClientError = pytest.importorskip("botocore.exceptions").ClientError
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    words = trouble(Bucket("lab", ""), ClientError({"Error": {"Code": code}}, "PutObject"))
    assert words.startswith("https://store.example refuses s3://lab: the clock of this machine")
    assert "set the clock, then run the same again" in words
