"""Every benchmark runs on a few cells and ends in a table with ours, the peer and the ratio."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.networks import scgpt_authors

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = {
    "prepare.py": ["--cells", "300"],
    "memory.py": ["--cells", "300", "--processes", "2"],
    "query.py": ["--trials", "50", "--many", "100"],
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("script", SMALL)
def test_a_benchmark_runs_at_a_small_size(script, tmp_path):
    command = [sys.executable, BENCHMARKS / script, *SMALL[script], "--scratch", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("ours", "peer", "ratio"):
        assert word in done.stdout
    assert not list(tmp_path.iterdir())


def test_tokens_are_compared_with_the_authors_loops():
    command = [sys.executable, BENCHMARKS / "tokenise.py", "--cells", "40", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr  # which it is not when outputs differ
    bins = "bins, DataCollator" if scgpt_authors.installed() else "bins are left out"
    for word in ("ours", "peer", "ratio", "ranks, tokenize_loom", bins):
        assert word in done.stdout


def test_a_simulated_cluster_ends_near_its_lower_bound_though_nodes_are_lost(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    simulate = importlib.import_module("simulate")
    rng = np.random.default_rng(0)
    drawn = simulate.made_up(4000, 20, 0.4, 0.3, rng)
    calm = simulate.replay(*drawn, simulate.Cluster(20, 5), rng)
    assert 1 <= calm.makespan / calm.bound < 1.1
    assert calm.lost == 0
    stormy = simulate.replay(*drawn, simulate.Cluster(20, 5, between_losses=20_000), rng)
    assert stormy.lost > 0
    assert stormy.makespan > calm.makespan
    assert stormy.makespan / stormy.bound < 1.2


def test_networks_are_timed_beside_their_authors_classes():
    small = ["--model", "geneformer", "--longest", "24", "--cells", "2", "--trained", "1"]
    command = [sys.executable, BENCHMARKS / "finetune.py", *small, "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| embed")]
    assert len(rows) == 2
    assert all(float(row[5]) < 1e-5 for row in rows), "ours gives other embeddings than theirs"
    for word in ("authors, cells/s", "ours, cells/s", "ratio", "of peak FLOP/s"):
        assert word in done.stdout


def test_heads_are_compared_with_what_they_were():
    command = [sys.executable, BENCHMARKS / "seeds.py", "--seeds", "1", "--dimensions", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("| ours |", "peer: probe as before", "peer: scikit-learn", "ratio", "ours: head"):
        assert word in done.stdout
    [torch] = [line for line in done.stdout.splitlines() if "torch, one head at a time" in line]
    *_, apart, labels = torch.strip("| ").split(" | ")
    assert float(apart) < 1e-4
    assert labels == "0.000%"


def test_a_sweep_is_planned_and_taken_up_again():
    command = [sys.executable, BENCHMARKS / "plan.py", "--trials", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    [half] = [line for line in done.stdout.splitlines() if "resume, half done" in line]
    assert half.split(" | ")[-1].strip(" |") == "10", "as many are left to run"
    assert "resume, all done" in done.stdout


def test_the_driver_is_measured_beside_bare_tasks():
    command = [sys.executable, BENCHMARKS / "driver.py", "--handfuls", "300"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    [row] = [line for line in done.stdout.splitlines() if line.startswith("| 300 ")]
    cpu, bare, ratio, *_ = row.strip("| ").split(" | ")[1:]
    assert float(cpu) > 0
    assert float(bare) > 0
    assert ratio.endswith("x")
