"""Models trained by two processes: the same weights, losses and answers as by one."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from trainables import catalog
from trainables.networks import processes, scbert_runs

SCRIPT = Path(__file__).parent / "sharing_script.py"


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    """What one process came to, and each of two."""
    home = tmp_path_factory.mktemp("sharing")
    with processes.hosted("127.0.0.1", 2) as place:
        words = [sys.executable, SCRIPT]
        told = json.dumps(asdict(place))
        env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
        ranks = [
            subprocess.Popen([*words, home / str(rank), told, str(rank)], env=env)
            for rank in range(2)
        ]
        assert [rank.wait(120) for rank in ranks] == [0, 0]
    two = [torch.load(home / str(rank) / "out.pt", weights_only=True) for rank in range(2)]
    spec = importlib.util.spec_from_file_location("sharing_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (home / "alone").mkdir()
    told = []
    return {"said": script.trained(home / "alone", told.append), "told": told}, two


@pytest.mark.parametrize("model", ["scbert", "scgpt", "geneformer"])
def test_two_processes_end_with_the_weights_of_one(one_and_two, model):
    one, (first, second) = one_and_two
    keys = [key for key in one["said"] if key.startswith(f"{model} ")]
    assert len(keys) > 10
    for key in keys:
        mine, theirs = one["said"][key], first["said"][key]
        if isinstance(mine, list):
            assert mine == theirs
            assert theirs == second["said"][key]
        else:
            torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-5)
            assert torch.equal(theirs, second["said"].get(key, theirs))


def test_one_of_two_reports_the_losses_of_one(one_and_two):
    one, (first, second) = one_and_two
    assert second["told"] == []
    assert len(one["told"]) == 6
    for mine, theirs in zip(one["told"], first["told"], strict=True):
        rows = mine.pop("micro_batch"), theirs.pop("micro_batch")
        assert rows in [(10, 5), (5, 3)]
        assert theirs == pytest.approx(mine, rel=1e-5)


def test_where_a_cell_depends_on_its_batch_nothing_is_shared(monkeypatch, ctx):
    monkeypatch.setattr(scbert_runs, "group", lambda: (0, 2))
    network = SimpleNamespace(stabiliser="paper")
    run = scbert_runs.Run(network, None, ctx, 4, True, 0, "float32")
    with pytest.raises(ValueError, match="run this without processes=N"):
        run.trained(None, 1, None, None, None)


def test_who_can_be_shared_says_so():
    assert catalog.card("scgpt").processes
    assert not catalog.card("scgpt+probe").processes, "a frozen network is not trained"
    assert not catalog.card("logreg").processes
