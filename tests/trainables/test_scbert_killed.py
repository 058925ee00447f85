"""A training of scBERT's that is killed goes on where it was."""

import os
import signal
import subprocess
import sys
import time

import torch

from tests.conftest import ROOT
from tests.trainables.tiny_scbert import CELLS, PRETRAINING
from trainables.networks.weights import recipe
from trainables.store import Store
from trainables.trial import Trial

SCRIPT = """
import sys, time
from pathlib import Path
import torch
from orchestrator.execute import execute
from trainables.networks import performer, training
from trainables.trial import Trial

storage, task, params, pause = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), float(sys.argv[4])
training.SAVE_EVERY_S = 0.0
slow = performer.ScBERTNetwork.redraw
performer.ScBERTNetwork.redraw = lambda *a: (time.sleep(pause), slow(*a))[1]
trial = Trial("scbert", task, "pbmc68k_reduced", 1, model_params=params)
print(execute(trial, storage, code_version="x"))
"""


def start(storage, task, params, pause=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(storage), task, repr(params), str(pause)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def position(storage):
    """Where a trial's checkpoint says its training is, if there is one."""
    found = list((storage / "checkpoints").glob("*/scbert.pt"))
    return torch.load(found[0], weights_only=True)["progress"] if found else None


def test_a_pretraining_killed_mid_epoch_ends_with_the_same_weights(tmp_path):
    params = {**PRETRAINING, "epochs": 2, "redraw": 4}
    trial = Trial("scbert", "pretraining", CELLS, 1, model_params=params)
    ends = {}
    for name in ("whole", "killed"):
        storage = tmp_path / name
        if name == "killed":
            process = start(storage, "pretraining", params, pause=0.1)
            deadline = time.monotonic() + 600
            while time.monotonic() < deadline:
                at = position(storage)
                if at and at["epoch"] == 1 and at["step"]:
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            at = position(storage)
            assert at["epoch"] == 1
            assert 0 < at["step"] < 16
        said = start(storage, "pretraining", params).communicate(timeout=600)[0]
        assert "'status': 'ok'" in said
        home = Store(storage / "store").home(recipe(trial.id))
        (file,) = home.glob("*.pth")
        ends[name] = torch.load(file, weights_only=True)["model_state_dict"]
        assert not list(
            (storage / "checkpoints").glob("*/*")
        )  # settled: nothing left to go on from
    assert ends["whole"].keys() == ends["killed"].keys()
    for key, value in ends["whole"].items():
        assert torch.equal(value, ends["killed"][key]), key
