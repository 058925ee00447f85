"""Trials that several processes share: as by one, and no death of one of them is waited for."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from orchestrator.execute import execute
from orchestrator.machines import bundles, refuse_too_many, together
from orchestrator.planning import plan, shared_by
from orchestrator.sweep import Sweep
from trainables.trial import Trial

CPUS, GPUS = {"CPU": 16.0}, {"CPU": 8.0, "GPU": 1.0}
TINY = {"dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "ff_mult": 1, "n_genes": 30}
SCBERT = {**TINY, "weights": "none", "gene2vec": False, "trained": "all", "epochs": 2, "batch": 9}
SCBERT |= {"lr": 1e-3, "min_lr": 1e-3}

MODELS = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from trainables.protocols import Card, Predictions

def answers(valid, test):
    return Predictions(test=np.full(test.n_obs, "a"), valid=np.full(valid.n_obs, "a"))

def meet():
    import torch
    from trainables.networks.processes import group, summed
    ones = torch.ones(1)
    if group()[1] > 1:
        summed(ones)
    return int(ones)

@dataclass(frozen=True)
class Shaky:
    mark: str = ""
    card: ClassVar = Card(summary="one process of it dies once", processes=True)
    def fit_predict(self, train, valid, test, ctx):
        from trainables.networks.processes import group
        if group()[0] == 1 and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        assert meet() == 2
        return answers(valid, test)

@dataclass(frozen=True)
class Cramped:
    card: ClassVar = Card(summary="one process of it needs parts", processes=True, parts=True)
    def fit_predict(self, train, valid, test, ctx):
        from trainables.networks.processes import group
        if group()[0] == 1 and ctx.parts == 1:
            raise MemoryError("no room in process 1")
        assert meet() == 2
        return answers(valid, test)

@dataclass(frozen=True)
class Away:
    mark: str = ""
    card: ClassVar = Card(summary="what one process of it asks is away once", processes=True)
    def fit_predict(self, train, valid, test, ctx):
        from trainables.networks.processes import group
        if group()[0] == 1 and not Path(self.mark).exists():
            Path(self.mark).touch()
            raise ConnectionError("the server of process 1 is away")
        assert meet() == 2
        return answers(valid, test)
"""

COMMANDS = """
import json, sys
from orchestrator.cli import app
from orchestrator.launch import connected
with connected():  # one Ray for all of them
    for words in json.loads(sys.argv[1]):
        app([*words, "--json"], standalone_mode=False)
        print(flush=True)
"""
"""What runs several commands of ours, each of which prints an object of JSON."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A sweep whose trials two processes share, and what failed once more: its folder, what both
    commands said, and the records."""
    home = tmp_path_factory.mktemp("team")
    (home / "shaky_models.py").write_text(MODELS)
    info = home / "shaky-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shaky\nVersion: 1.0\n")
    points = [f"{name.lower()} = shaky_models:{name}" for name in ("Shaky", "Cramped", "Away")]
    (info / "entry_points.txt").write_text("\n".join(["[gauntlet.models]", *points]) + "\n")
    (home / "shared.py").write_text(
        textwrap.dedent(f"""
        from orchestrator import Sweep
        SWEEP = Sweep(title="shared", task="annotation", datasets=["toy"], seeds=[0], models={{
            "scbert": {SCBERT!r},
            "shaky": {{"mark": {str(home / "died")!r}}},
            "cramped": {{}},
            "away": {{"mark": {str(home / "away")!r}}},
        }})
        """)
    )
    where = ["--storage", str(home / "runs")]
    words = [["run", str(home / "shared.py"), "processes=2", *where], ["retry", "shared", *where]]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(words)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "PYTHONPATH": str(home)},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    records = [json.loads(path.read_text()) for path in sorted(home.glob("runs/records/*/*.json"))]
    return home, [json.loads(said) for said in done.stdout.split("\n\n") if said], records


def of(records, model):
    return [record for record in records if record["trial"]["model"] == model]


def test_two_processes_keep_the_record_that_one_keeps(ran, tmp_path):
    _, _, records = ran
    [two] = of(records, "scbert")
    trial = Trial("scbert", "annotation", "toy", 0, model_params=SCBERT)
    one = execute(trial, tmp_path, code_version="test")
    assert two["trial_id"] == trial.id, "how many share a trial decides no result"
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-5)
    assert two["saw"] == one["saw"]
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        assert (mine.pop("micro_batch"), theirs.pop("micro_batch")) == (9, 5)
        assert theirs == pytest.approx(mine, abs=1e-5)


def test_a_trial_whose_helper_was_killed_is_started_again(ran):
    home, (said, _), records = ran
    [record] = of(records, "shaky")
    assert (home / "died").exists()
    assert (record["status"], record["processes"]) == ("ok", 2)
    assert said["statuses"] == {"ok": 3, "failed": 1}


def test_the_error_of_a_helper_is_the_trials(ran):
    _, _, records = ran
    first, second = sorted(of(records, "cramped"), key=lambda record: record["started_at"])
    assert (first["status"], first["reason"]) == (
        "out_of_memory",
        "out of memory: no room in process 1",
    )
    assert (second["status"], second["parts"], second["processes"]) == ("ok", 4, 2)


def test_what_failed_is_retried_by_as_many_and_the_failure_stays_on_record(ran):
    home, (_, said), records = ran
    [stands] = of(records, "away")[1:]
    failed = home / f"runs/records/{stands['trial_id'][:2]}/{stands['trial_id']}.1.json"
    assert json.loads(failed.read_text())["reason"] == "the server of process 1 is away"
    assert (stands["status"], stands["reason"], stands["processes"]) == ("ok", "", 2)
    assert (said["ran"], said["statuses"], said["untracked"]) == (1, {"ok": 4}, "")


def test_who_is_shared_and_what_that_takes():
    assert shared_by("scgpt", "annotation", 4) == 4
    assert shared_by("scgpt", "clustering", 4) == 1, "an embedding is not trained"
    assert shared_by("logreg", "annotation", 4) == 1
    assert bundles("scgpt", "annotation", 2, [GPUS]) == [{"CPU": 2, "GPU": 1.0}] * 2
    assert together(bundles("scgpt", "annotation", 2, [CPUS])) == {"CPU": 4}
    assert bundles("logreg", "annotation", 2, [GPUS]) == [{"CPU": 1}]


def test_more_processes_than_there_is_room_for_are_refused(monkeypatch):
    monkeypatch.delenv("GAUNTLET_GROWS", raising=False)
    wanted = {("scgpt", "annotation"): bundles("scgpt", "annotation", 3, [GPUS])}
    refuse_too_many(wanted, [GPUS] * 3, cluster=True)
    with pytest.raises(ValueError, match=r"2 CPU, 1 GPU .* has that 2 times: .* processes=2"):
        refuse_too_many(wanted, [GPUS, CPUS, GPUS], cluster=True)
    monkeypatch.setenv("GAUNTLET_GROWS", '[{"CPU": 8, "GPU": 1}]')
    refuse_too_many(wanted, [GPUS], cluster=True)


def test_processes_are_of_the_plan_and_of_no_id(tmp_path):
    sweep = Sweep(title="t", task="annotation", datasets=["toy"], seeds=[0], name="t",
                  models={"scbert": SCBERT, "mean": {}})  # fmt: skip
    one, two = plan(sweep, tmp_path), plan(sweep, tmp_path, processes=2)
    assert [trial.id for trial in one.trials] == [trial.id for trial in two.trials]
    assert two.summary()["resources"] == {"scbert": {"CPU": 2, "GPU": 2.0}, "mean": {"CPU": 1}}
    assert two.manifest()["processes"] == 2
    assert "processes" not in one.manifest()
    for wrong in (0, "two"):
        with pytest.raises(ValueError, match="is no number of processes"):
            plan(sweep, tmp_path, processes=wrong)
