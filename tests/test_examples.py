"""The example package is found by its entry points, and its model keeps to the rules."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin-model"


@pytest.fixture
def installed(tmp_path):
    """The environment of a Python that has the package: its sources and what pip writes of them."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    about = tmp_path / f"gauntlet_centroid-{project['version']}.dist-info"
    about.mkdir()
    words = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(words)
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(EXAMPLE / "src")])}


def test_its_models_are_listed_and_planned(gauntlet, installed, tmp_path):
    listed = gauntlet("list", "models", **installed).stdout
    assert "centroid" in listed
    assert "linear_scvi" in listed
    assert "shrink" in gauntlet("show", "centroid", **installed).stdout
    assert "centroid" not in gauntlet("list", "models").stdout
    (tmp_path / "mine.py").write_text(SWEEP)
    planned = gauntlet("plan", tmp_path / "mine.py", "--storage", tmp_path, **installed).stdout
    assert "centroid x 2" in planned


SWEEP = """
from orchestrator.sweep import Sweep

SWEEP = Sweep(
    title="Is the nearest mean enough?",
    task="annotation",
    datasets=["toy"],
    seeds=range(2),
    models={"logreg": {"C": 0.1}, "centroid": {"shrink": 0.5}},
)
"""


def test_its_own_tests_pass(installed, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests"]
    done = subprocess.run(
        [*map(str, command), "-k", "Centroid", "--rootdir", str(EXAMPLE)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=tmp_path,
        env={**os.environ, **installed},
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(".") >= 10  # and not all of them were skipped
