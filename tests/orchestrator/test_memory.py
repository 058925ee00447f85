"""Memory that runs out: once more in smaller parts where the model can, else an outcome."""

import contextlib
import json
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator import memory
from orchestrator.costs import Costs
from orchestrator.execute import Done, execute, record_of
from orchestrator.memory import PARTS
from orchestrator.records import Ledger
from trainables import catalog
from trainables.trial import Trial

MODELS = """
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

@dataclass(frozen=True)
class Large:
    batch: int = 32
    most: int = 8
    how: str = "MemoryError"
    group: str = ""
    card: ClassVar = Card(summary="has room for so many cells at a time", parts=True)
    def fit_predict(self, train, valid, test, ctx):
        if self.batch / ctx.parts > self.most:
            if self.group:
                Path(self.group, "cgroup.procs").write_text(str(os.getpid()))
                np.ones(1 << 27)
            if self.how == "MemoryError":
                raise MemoryError(f"no room for {self.batch // ctx.parts} cells")
            import torch
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return Predictions(test=np.full(test.n_obs, "a"), valid=np.full(valid.n_obs, "a"))

@dataclass(frozen=True)
class Stiff(Large):
    card: ClassVar = Card(summary="the same, in one piece")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Another package with these models."""
    site = tmp_path_factory.mktemp("site")
    (site / "large_models.py").write_text(MODELS)
    info = site / "large-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: large\nVersion: 1.0\n")
    points = "[gauntlet.models]\nlarge = large_models:Large\nstiff = large_models:Stiff\n"
    (info / "entry_points.txt").write_text(points)
    return site


@pytest.fixture
def here(site, monkeypatch):
    """These models in this process."""
    monkeypatch.syspath_prepend(str(site))
    catalog.plugins.cache_clear()
    yield
    catalog.plugins.cache_clear()
    sys.modules.pop("large_models", None)


def run(storage, model="large", **params):
    """A trial, its record, and the records of its attempts."""
    trial = Trial(model, "annotation", "toy", 0, model_params=params)
    record = execute(trial, storage, code_version="test")
    paths = sorted(storage.glob(f"records/*/{trial.id}.[0-9]*.json"))
    return trial, record, [json.loads(path.read_text()) for path in paths]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("how", ["MemoryError", "torch"])
def test_the_second_try_is_in_parts_and_both_are_recorded(tmp_path, how):
    _, record, attempts = run(tmp_path, how=how)
    assert (record["status"], record["parts"]) == ("ok", PARTS)
    [first] = attempts
    assert (first["status"], first["parts"]) == ("out_of_memory", 1)
    assert first["reason"].startswith("out of memory: ")


@pytest.mark.usefixtures("here")
def test_there_is_one_more_try_not_two(tmp_path):
    _, record, attempts = run(tmp_path, most=2)
    assert record["status"] == "out_of_memory"
    said = "out of memory with every batch in 4 parts: no room for 8 cells"
    assert [attempt["reason"] for attempt in attempts] == [
        "out of memory: no room for 32 cells",
        said,
    ]
    assert record == attempts[-1]


@pytest.mark.usefixtures("here")
def test_a_model_that_knows_no_parts_is_not_tried_again(tmp_path):
    _, record, attempts = run(tmp_path, model="stiff")
    assert record["reason"] == "out of memory: no room for 32 cells"
    assert attempts == [record]


@pytest.mark.usefixtures("here")
def test_what_fits_is_in_one_piece(tmp_path):
    _, record, attempts = run(tmp_path, batch=8)
    assert (record["status"], record["parts"], attempts) == ("ok", 1, [])


@pytest.mark.usefixtures("here")
def test_a_worker_that_the_scheduler_ended_for_its_memory_starts_again_in_parts(
    tmp_path, monkeypatch
):
    """Ray ends the process before a host has no memory left, so that no error is raised in it."""
    from orchestrator.launch import Dealer, Watcher

    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    trial = Trial("large", "annotation", "toy", 0)
    needs = {("large", "annotation"): [{"CPU": 1.0}]}
    dealer = Dealer({trial.id: trial}, needs, tmp_path, "test", lambda *told: None, None, Costs())
    watcher = Watcher(dealer)
    said = tmp_path / "error.txt"
    said.write_text("ray.exceptions.OutOfMemoryError: Task was killed: node low on memory")
    for name in ("first", "second"):
        assert dealer.suggest(name) == {"place": 0}
        assert dealer.begin(name) == ([trial.id], name == "second")
        dead = SimpleNamespace(trial_id=name, error_file=said, pickled_error_file=None)
        watcher.on_trial_error(0, [], dead)
    [path] = tmp_path.glob("records/*/*.json")
    assert json.loads(path.read_text())["status"] == "out_of_memory"
    assert Ledger(tmp_path).last(trial.id)["parts"] == 1
    assert execute(trial, tmp_path, code_version="test")["parts"] == PARTS


def killed(trial, storage, monkeypatch):
    """An attempt at a trial in the middle of which its process is gone, and a kernel's kill."""

    class Gone(BaseException):
        pass

    def die(self, ctx):
        raise Gone

    counted = memory.kills()
    with monkeypatch.context() as patch:
        patch.setattr(Trial, "run", die)
        with pytest.raises(Gone):
            execute(trial, storage, code_version="test")
    monkeypatch.setattr(memory, "kills", lambda: counted + 1)


@pytest.mark.usefixtures("here")
def test_a_worker_that_the_kernel_ended_for_its_memory_starts_again_in_parts(tmp_path, monkeypatch):
    trial = Trial("large", "annotation", "toy", 0, model_params={"most": 99})
    killed(trial, tmp_path, monkeypatch)
    record = execute(trial, tmp_path, code_version="test", again=True)
    assert (record["status"], record["parts"]) == ("ok", PARTS)
    [path] = tmp_path.glob(f"records/*/{trial.id}.1.json")
    first = json.loads(path.read_text())
    assert first["reason"] == "out of memory: the kernel ended its process"
    assert not list(tmp_path.glob("late/*"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("model", ["large", "stiff"])
def test_what_the_kernel_ended_in_parts_or_cannot_be_parted_is_out_of_memory(
    model, tmp_path, monkeypatch
):
    trial = Trial(model, "annotation", "toy", 0, model_params={"most": 99})
    if model == "large":
        first = Done("out_of_memory", "out of memory: before")
        Ledger(tmp_path).commit(record_of(trial, first, "test"))
    killed(trial, tmp_path, monkeypatch)
    record = execute(trial, tmp_path, code_version="test", again=True)
    how = " with every batch in 4 parts" if model == "large" else ""
    assert record["reason"] == f"out of memory{how}: the kernel ended its process"
    assert not list(tmp_path.glob("late/*"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("why", ["elsewhere", "stopped", "another death"])
def test_other_deaths_are_not_for_want_of_memory(why, tmp_path, monkeypatch):
    trial = Trial("large", "annotation", "toy", 0, model_params={"most": 99})
    counted = memory.kills()
    killed(trial, tmp_path, monkeypatch)
    if why == "elsewhere":
        monkeypatch.setattr("platform.node", lambda: "another")
    if why == "another death":
        monkeypatch.setattr(memory, "kills", lambda: counted)
    record = execute(trial, tmp_path, code_version="test", again=why != "stopped")
    assert (record["status"], record["parts"]) == ("ok", 1)


def test_kills_are_those_of_the_control_group_where_it_counts(tmp_path):
    assert memory.kills(tmp_path) == 0
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 12\noom_kill 7\n")
    assert memory.kills(tmp_path) == 7
    (tmp_path / "proc/self/cgroup").write_text("1:cpu:/else\n0::/jobs/a\n")
    (tmp_path / "sys/fs/cgroup/jobs/a").mkdir(parents=True)
    events = tmp_path / "sys/fs/cgroup/jobs/a/memory.events"
    events.write_text("oom 5\noom_kill 3\noom_group_kill 0\n")
    assert memory.kills(tmp_path) == 3


@pytest.fixture(scope="module")
def cramped():
    """A control group of the kernel's that holds 64 MB; None where we may not make one."""
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")  # version 1 has one a resource
    root, limit = (one, "memory.limit_in_bytes") if one.is_dir() else (two, "memory.max")
    group = root / f"gauntlet-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / limit).write_text(str(64 << 20))
    except OSError:
        yield None
    else:
        yield group
    with contextlib.suppress(OSError):
        group.rmdir()


@pytest.fixture(scope="module")
def swept(gauntlet, site, cramped, tmp_path_factory):
    """A sweep of trials that lack memory: how they ended, and all that was recorded."""
    home = tmp_path_factory.mktemp("swept")
    models = {"large": {}, "stiff": {}}
    models |= {"large/killed": {"group": str(cramped)}} if cramped else {}
    (home / "large.py").write_text(
        "from orchestrator import Sweep\n"
        'SWEEP = Sweep(title="large", task="annotation", datasets=["toy"], seeds=range(2),\n'
        f"              models={models})\n"
    )
    words = ("run", home / "large.py", "--storage", home / "runs", "--json")
    ran = json.loads(gauntlet(*words, expect=1, PYTHONPATH=str(site)).stdout)
    return ran, [json.loads(path.read_text()) for path in home.glob("runs/records/*/*.json")]


def test_a_sweep_goes_on_in_parts(swept, cramped):
    ran, _ = swept
    assert ran["statuses"] == {"ok": 4 if cramped else 2, "out_of_memory": 2}


def test_what_the_kernel_really_ended_goes_on_in_parts(swept, cramped):
    if cramped is None:
        pytest.skip("only root may make a control group that limits memory, and not everywhere")
    killed = [r for r in swept[1] if r["trial"]["model_params"]["group"]]
    ends = sorted((r["trial"]["seed"], r["status"], r["parts"]) for r in killed)
    assert ends == [(s, *how) for s in (0, 1) for how in (("ok", PARTS), ("out_of_memory", 1))]
    first = {r["reason"] for r in killed if r["status"] == "out_of_memory"}
    assert first == {"out of memory: the kernel ended its process"}
