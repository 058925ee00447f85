"""Every benchmark runs on a few cells and ends in a table with ours, the peer and the ratio."""

import subprocess
import sys
from pathlib import Path

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
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("ours", "peer", "ratio"):
        assert word in done.stdout
    assert not list(tmp_path.iterdir())


def test_tokens_are_compared_with_the_authors_loops():
    command = [sys.executable, BENCHMARKS / "tokenise.py", "--cells", "40", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr  # which it is not when outputs differ
    bins = "bins, DataCollator" if scgpt_authors.installed() else "bins are left out"
    for word in ("ours", "peer", "ratio", "ranks, tokenize_loom", bins):
        assert word in done.stdout
