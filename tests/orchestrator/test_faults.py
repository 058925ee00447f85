"""Models that fail, die or do not apply: each is an outcome, and the others go on."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

MODELS = """
import os, signal, time, uuid
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

def answers(valid, test):
    return Predictions(test=np.full(test.n_obs, "type 0"), valid=np.full(valid.n_obs, "type 0"))

@dataclass(frozen=True)
class Raises:
    card: ClassVar = Card(summary="fails on seed 1")
    def fit_predict(self, train, valid, test, ctx):
        if ctx.seed == 1:
            raise RuntimeError("no gene of this model is here")
        return answers(valid, test)

@dataclass(frozen=True)
class Hungry:
    card: ClassVar = Card(summary="asks for more memory than there is")
    def fit_predict(self, train, valid, test, ctx):
        np.empty(1 << 55, dtype=np.float64)

@dataclass(frozen=True)
class Dies:
    marks: str = ""
    times: int = 1
    card: ClassVar = Card(summary="kills its own process the first few times")
    def fit_predict(self, train, valid, test, ctx):
        mark = Path(self.marks) / str(ctx.seed)
        died = len(list(mark.parent.glob(f"{ctx.seed}.*")))
        if died < self.times:
            mark.with_suffix(f".{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answers(valid, test)

@dataclass(frozen=True)
class Slow:
    marks: str = ""
    card: ClassVar = Card(summary="takes its time, and leaves a mark each time it runs")
    def fit_predict(self, train, valid, test, ctx):
        Path(self.marks, f"{ctx.seed}-{uuid.uuid4().hex}").touch()
        time.sleep(0.5)
        return answers(valid, test)

@dataclass(frozen=True)
class Hangs:
    card: ClassVar = Card(summary="hangs on seed 1, in compiled code that keeps Python's lock")
    def fit_predict(self, train, valid, test, ctx):
        if ctx.seed == 1:
            import ctypes
            ctypes.PyDLL(None).sleep(600)
        return answers(valid, test)

@dataclass(frozen=True)
class Counts:
    card: ClassVar = Card(summary="wants counts", wants="counts")
    def fit_predict(self, train, valid, test, ctx):
        assert "counts" in train.layers
        return answers(valid, test)

@dataclass(frozen=True)
class Vast:
    card: ClassVar = Card(summary="wants more cores than anyone has", cpus=9999)
    def fit_predict(self, train, valid, test, ctx):
        return answers(valid, test)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Models of another installed package, found by entry point: the environment to run in."""
    site = tmp_path_factory.mktemp("site")
    (site / "faulty_models.py").write_text(MODELS)
    info = site / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    names = ("Raises", "Hungry", "Dies", "Slow", "Hangs", "Counts", "Vast")
    lines = [f"{name.lower()} = faulty_models:{name}" for name in names]
    (info / "entry_points.txt").write_text("[gauntlet.models]\n" + "\n".join(lines) + "\n")
    return {"PYTHONPATH": str(site)}


@pytest.fixture
def sweep(tmp_path):
    """Writes a sweep over the given models to a file."""

    def write(models, seeds=3, datasets=("toy",)):
        path = tmp_path / "faults.py"
        path.write_text(
            textwrap.dedent(f"""
            from orchestrator import Sweep
            SWEEP = Sweep(title="faults", task="annotation", datasets={list(datasets)!r},
                          models={models!r}, seeds=range({seeds}))
            """)
        )
        return path

    return write


def test_failures_are_recorded_shown_and_retried(gauntlet, plugin, sweep, tmp_path):
    storage = tmp_path / "runs"
    path = sweep({"raises": {}, "hungry": {}, "mean": {}, "pca": {}})
    words = ("--storage", storage, "--json")
    ran = json.loads(gauntlet("run", path, *words, expect=1, **plugin).stdout)
    assert ran["statuses"] == {"ok": 5, "failed": 1, "out_of_memory": 3, "not_applicable": 3}
    groups = json.loads(gauntlet("failures", "faults", *words, **plugin).stdout)
    reasons = {group["status"]: group["reason"] for group in groups}
    assert reasons["failed"] == "no gene of this model is here"
    assert reasons["not_applicable"] == "pca is an embedder, and annotation needs an annotator"
    assert "RuntimeError" in next(g for g in groups if g["status"] == "failed")["trace"]
    again = gauntlet("retry", "faults", "--only", "out_of_memory", *words, expect=1, **plugin)
    assert json.loads(again.stdout)["ran"] == 3
    rerun = json.loads(gauntlet("run", path, *words, expect=1, **plugin).stdout)
    assert rerun["ran"] == 4  # what failed is tried again, what does not apply is not


def test_two_drivers_at_once_run_no_trial_twice(plugin, sweep, tmp_path):
    """One has the trials and the other waits; and when the first is killed, takes over."""
    storage, marks = tmp_path / "runs", tmp_path / "marks"
    marks.mkdir()
    path = sweep({"slow": {"marks": str(marks)}}, seeds=16)
    command = [str(Path(sys.executable).with_name("gauntlet")), "run", str(path)]
    drivers = [
        subprocess.Popen(
            [*command, "--storage", str(storage), "--json"],
            env={**os.environ, **plugin},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    deadline = time.monotonic() + 600
    while len(list(marks.iterdir())) < 4:
        assert time.monotonic() < deadline, "nothing has started"
        time.sleep(0.1)
    first = next(driver for driver in drivers if driver.pid == holder_of_trials(storage))
    first.kill()
    first.wait()
    drivers.remove(first)
    told = json.loads(drivers[0].communicate(timeout=900)[0])
    assert told["statuses"] == {"ok": 16}
    runs = Counter(mark.name.partition("-")[0] for mark in marks.iterdir())
    assert len(runs) == 16
    assert runs.total() <= 18, "only what the killed driver was at may have run again"
    assert told["ran"] <= 14, "what the killed driver had done stands"


def holder_of_trials(storage):
    """The process that has the trials that are being run."""
    leases = [p for p in (storage / "leases").glob("*.1") if not p.name.startswith("mlflow")]
    return json.loads((storage / "leases/holders" / leases[0].read_text()).read_text())["pid"]


def test_a_lost_worker_costs_its_trial_a_second_start(gauntlet, plugin, sweep, tmp_path):
    storage, marks = tmp_path / "runs", tmp_path / "marks"
    marks.mkdir()
    path = sweep({"dies": {"marks": str(marks)}, "mean": {}}, seeds=2)
    done = gauntlet("run", path, "--storage", storage, "--json", **plugin)
    assert json.loads(done.stdout)["statuses"] == {"ok": 4}
    assert len(list(marks.iterdir())) == 2


def test_a_worker_that_always_dies_is_a_failure_in_words(gauntlet, plugin, sweep, tmp_path):
    storage, marks = tmp_path / "runs", tmp_path / "marks"
    marks.mkdir()
    path = sweep({"dies": {"marks": str(marks), "times": 99}, "mean": {}}, seeds=1)
    done = gauntlet("run", path, "--storage", storage, "--json", expect=1, **plugin)
    assert json.loads(done.stdout)["statuses"] == {"failed": 1, "ok": 1}
    groups = json.loads(gauntlet("failures", "--storage", storage, "--json", **plugin).stdout)
    assert groups[0]["reason"].startswith("its worker died 3 times: ")
    assert "SIGKILL" in groups[0]["reason"] or "died" in groups[0]["reason"].partition(": ")[2]
    assert len(list(marks.iterdir())) == 3


def test_a_trial_that_hangs_ends_at_its_time_limit(gauntlet, plugin, sweep, tmp_path):
    storage = tmp_path / "runs"
    words = ("--storage", storage, "--time-limit", 15, "--json")
    done = gauntlet("run", sweep({"hangs": {}}), *words, expect=1, timeout=900, **plugin)
    assert json.loads(done.stdout)["statuses"] == {"ok": 2, "timeout": 1}
    [group] = json.loads(gauntlet("failures", "--storage", storage, "--json", **plugin).stdout)
    assert group["reason"] == "took longer than its limit of 15 s"
    assert "fit_predict" in group["trace"], "it says where it hung"
    assert not list((storage / "late").iterdir())


def test_what_no_machine_can_hold_is_refused(gauntlet, plugin, sweep, tmp_path):
    done = gauntlet("run", sweep({"vast": {}}), "--storage", tmp_path, expect=2, **plugin)
    assert "vast asks for 9999 CPU and this machine has" in done.stderr


def test_a_model_that_wants_counts_is_refused_where_there_are_none(
    gauntlet, plugin, sweep, tmp_path
):
    import numpy as np

    from trainables import catalog

    cells = catalog.dataset("toy").read()
    counts = cells.X.toarray()
    cells.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    cells.write_h5ad(tmp_path / "logged.h5ad")
    words = ("--storage", tmp_path / "runs", "--data", tmp_path / "logged.h5ad")
    done = gauntlet("run", sweep({"counts": {}}), *words, expect=2, **plugin)
    assert "counts wants raw counts and logged has none" in done.stderr


def test_another_packages_models_are_listed(gauntlet, plugin):
    models = json.loads(gauntlet("list", "models", "--json", **plugin).stdout)["models"]
    assert {"raises", "logreg"} <= {model["name"] for model in models}


def test_an_unreachable_tracking_server_costs_no_trial(gauntlet, sweep, tmp_path):
    storage = tmp_path / "runs"
    nobody = "http://127.0.0.1:9"  # the discard port: nothing listens there
    path = sweep({"mean": {}})
    done = gauntlet("run", path, "--storage", storage, "--tracking-uri", nobody)
    assert "MLflow lacks some runs" in done.stdout
    assert "gauntlet sync faults" in done.stdout
    synced = gauntlet("sync", "faults", "--storage", storage)
    assert "faults: 3 trials mirrored" in synced.stdout


def test_torch_takes_the_cores_it_is_given_though_the_trial_is_the_first_to_load_it():
    code = """
from orchestrator.measuring import threads
with threads(1):
    import torch
    print(torch.get_num_threads())
with threads(2):
    print(torch.get_num_threads())
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["1", "2"]
