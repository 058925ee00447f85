"""Files of one name keep sweeps of their own in a storage, and names stay readable."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from orchestrator import cli
from orchestrator.known_sweeps import find_sweep
from orchestrator.manifests import manifests, recorded_sweeps, write_manifest
from orchestrator.own_names import on_own_cells
from orchestrator.planning import plan
from trainables.userdata import UserFile


def filtered(folder: Path, seed: int) -> Path:
    """Cells under the name that all of Cell Ranger's output has."""
    folder.mkdir()
    counts = np.random.default_rng(seed).poisson(2.0, (60, 20)).astype(np.float32)
    obs = pd.DataFrame({"cell_type": ["a", "b"] * 30, "fine": ["c", "d", "e"] * 20})
    path = folder / "filtered.h5ad"
    ad.AnnData(counts, obs=obs.set_axis([f"c{i}" for i in range(60)], axis=0)).write_h5ad(path)
    return path


def started(storage: Path, *options, scale: str = "paper", **more):
    """Name of a sweep whose run has begun: its manifest is written before its first trial."""
    chosen = on_own_cells(find_sweep("quickstart"), UserFile(*options, **more), storage)
    planned = plan(chosen, storage, seeds=1, scale=scale)
    write_manifest(storage, planned.manifest())
    return planned.sweep.name, {trial.id for trial in planned.trials}


def test_a_second_file_of_one_name_keeps_the_sweep_of_the_first(tmp_path, capsys):
    one, two = filtered(tmp_path / "one", 1), filtered(tmp_path / "two", 2)
    storage = tmp_path / "runs"
    first, first_trials = started(storage, one)
    assert first == "quickstart-filtered"
    assert not capsys.readouterr().err
    second, second_trials = started(storage, two)
    assert second == f"quickstart-filtered-{UserFile(two).sha256[:6]}"
    assert second in capsys.readouterr().err
    assert not first_trials & second_trials
    assert started(storage, one) == (first, first_trials)  # each is resumed under its own name
    assert started(storage, two) == (second, second_trials)
    assert recorded_sweeps(storage) == [first, second]
    assert [len(manifests(storage, name)) for name in (first, second)] == [1, 1]


def test_other_columns_of_one_file_are_other_cells(tmp_path):
    path, storage = filtered(tmp_path / "one", 1), tmp_path / "runs"
    coarse, _ = started(storage, path, "cell_type")
    fine, _ = started(storage, path, "fine")
    assert coarse == "quickstart-filtered"
    assert fine.startswith("quickstart-filtered-")


def test_a_small_sweep_is_kept_too(tmp_path):
    one, two = filtered(tmp_path / "one", 1), filtered(tmp_path / "two", 2)
    sweep = replace(find_sweep("quickstart"), small=find_sweep("quickstart"))
    on_own_cells(sweep, UserFile(one), tmp_path / "runs")
    small = on_own_cells(sweep, UserFile(one), tmp_path / "runs").scaled("small")
    write_manifest(tmp_path / "runs", plan(small, tmp_path / "runs", seeds=1).manifest())
    assert on_own_cells(sweep, UserFile(two), tmp_path / "runs").name != "quickstart-filtered"


def test_a_name_of_ones_own_is_never_taken_from_other_cells(tmp_path):
    one, two = filtered(tmp_path / "one", 1), filtered(tmp_path / "two", 2)
    storage = tmp_path / "runs"
    assert started(storage, one, title="donor 1")[0] == "quickstart-donor.1"
    with pytest.raises(ValueError, match="choose another --name"):
        started(storage, two, title="donor 1")
    assert started(storage, two, title="donor 2")[0] == "quickstart-donor.2"


def test_a_sweep_over_two_files_of_one_name_is_refused(tmp_path):
    files = [UserFile(filtered(tmp_path / name, i)) for i, name in enumerate(("one", "two"))]
    with pytest.raises(ValueError, match="two data sets called 'filtered'"):
        plan(replace(find_sweep("quickstart"), datasets=files), tmp_path / "runs")
    files[1] = replace(files[1], title="second")
    assert plan(replace(find_sweep("quickstart"), datasets=files), tmp_path / "runs").trials


def test_a_card_never_takes_the_place_of_the_card_of_another_file(tmp_path, monkeypatch):
    one, two = filtered(tmp_path / "one", 1), filtered(tmp_path / "two", 2)
    monkeypatch.chdir(tmp_path)
    for path in (one, two, one, two):
        monkeypatch.setattr(sys, "argv", ["gauntlet", "data", "check", str(path)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
    names = ["card-filtered.html", f"card-filtered-{UserFile(two).sha256[:6]}.html"]
    assert sorted(path.name for path in tmp_path.glob("*.html")) == sorted(names)


def test_the_name_is_an_option_of_plan(tmp_path, monkeypatch, capsys):
    path = filtered(tmp_path / "one", 1)
    words = ["--data", str(path), "--name", "donor1", "--storage", str(tmp_path / "runs"), "--json"]
    monkeypatch.setattr(sys, "argv", ["gauntlet", "plan", "quickstart", "seeds=1", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert '"sweep": "quickstart-donor1"' in capsys.readouterr().out
