"""`gauntlet data` from the outside: words, JSON and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def gauntlet(tmp_path: Path):
    """The command, run in an empty folder with its data there."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "GAUNTLET_DATA": str(tmp_path / "data"), "COLUMNS": "200"}
        # a proxy that refuses stands for a machine without a way out
        env |= dict.fromkeys(["http_proxy", "https_proxy", "HTTPS_PROXY"], "http://127.0.0.1:9")
        command = [sys.executable, "-m", "orchestrator.cli", "data", *map(str, words)]
        env["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600
        )

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).poisson(3, (20, 12)).astype("float32")
    obs = pd.DataFrame(
        {"kind": ["a", "b"] * 10, "donor": ["x"] * 10 + ["y"] * 10},
        index=[str(i) for i in range(20)],
    )
    ad.AnnData(X=values, obs=obs).write_h5ad(tmp_path / "mine.h5ad")
    return tmp_path / "mine.h5ad"


def pair(folder: Path) -> list[Path]:
    """scGPT's pancreas files, far too small."""
    paths = []
    for name in ("demo_train.h5ad", "demo_test.h5ad"):
        obs = pd.DataFrame({"Celltype": ["a", "b"] * 3}, index=[str(i) for i in range(6)])
        cells = ad.AnnData(X=np.arange(24, dtype="float32").reshape(6, 4) / 7, obs=obs)
        cells.write_h5ad(folder / name)
        paths.append(folder / name)
    return paths


def test_the_list_names_every_data_set_without_reading_any(gauntlet):
    rows = {row["name"]: row for row in json.loads(gauntlet("list", "--json").stdout)}
    assert rows["zheng68k"]["cells"] == 68_450
    assert not rows["zheng68k"]["here"]
    assert rows["toy"]["here"]
    assert rows["ms"]["how"] == "by hand"


def test_a_file_gets_a_card_and_a_page(gauntlet, mine: Path, tmp_path: Path):
    words = ("--label-key", "kind", "--batch-key", "donor")
    done = gauntlet("check", mine, *words, "--json")
    card = json.loads(done.stdout)
    assert done.returncode == 0
    assert card["labels"] == {"a": 10, "b": 10}
    assert card["batches"] == {"x": 10, "y": 10}
    assert (tmp_path / card["page"]).read_text().startswith("<!doctype html>")


def test_a_column_that_is_not_there_is_bad_input(gauntlet, mine: Path):
    done = gauntlet("check", mine, "--label-key", "kinds")
    assert done.returncode == 2
    assert "did you mean 'kind'" in done.stderr


def test_a_file_that_is_not_there_is_bad_input(gauntlet):
    done = gauntlet("check", "nowhere.h5ad")
    assert done.returncode == 2
    assert done.stderr.startswith("gauntlet: there is no file nowhere.h5ad")


def test_a_catalog_name_is_checked_too(gauntlet):
    card = json.loads(gauntlet("check", "toy", "--json").stdout)
    assert (card["cells"], len(card["labels"]), card["mismatches"]) == (240, 4, [])


def test_what_is_not_here_tells_how_to_get_it(gauntlet):
    done = gauntlet("check", "zheng68k")
    assert done.returncode == 2
    assert "gauntlet data fetch zheng68k" in done.stderr


def test_without_a_network_fetching_ends_in_one_sentence(gauntlet):
    done = gauntlet("fetch", "zheng68k")
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("gauntlet:")]
    assert len(said) == 1
    assert "cannot be reached" in said[0]
    assert "gauntlet data add zheng68k Zheng68K.h5ad.gz" in said[0]
    assert "Traceback" not in done.stderr


def test_fetching_what_only_a_browser_gets_gives_the_instruction(gauntlet):
    done = gauntlet("fetch", "ms")
    assert done.returncode == 2
    assert "open https://drive.google.com/drive/folders/1Qd42YNabzyr2pWt9xoY4cVMTAxsNBt4v" in (
        done.stderr
    )


def test_a_data_set_without_files_has_nothing_to_fetch(gauntlet):
    assert "needs no files" in gauntlet("fetch", "toy").stderr


def test_added_files_of_another_size_fail_the_check(gauntlet, tmp_path: Path):
    done = gauntlet("add", "pancreas", *pair(tmp_path))
    assert done.returncode == 0
    assert "complete; look at it with: gauntlet data check pancreas" in done.stdout
    checked = gauntlet("check", "pancreas", "--json")
    assert checked.returncode == 3
    wrong = json.loads(checked.stdout)["mismatches"]
    assert "it has 12 cells where 14,818 are expected" in wrong


def test_a_file_that_changed_since_fails_the_check(gauntlet, tmp_path: Path):
    gauntlet("add", "pancreas", *pair(tmp_path))
    with (tmp_path / "data" / "pancreas" / "demo_test.h5ad").open("ab") as file:
        file.write(b"more")
    done = gauntlet("check", "pancreas")
    assert done.returncode == 3
    assert "demo_test.h5ad has sha256" in done.stderr


def test_half_of_a_pair_says_what_is_still_missing(gauntlet, tmp_path: Path):
    done = gauntlet("add", "pancreas", pair(tmp_path)[0])
    assert "still lacks: demo_test.h5ad" in done.stdout
