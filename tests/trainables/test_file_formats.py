"""Every format gives the same cells, or a sentence that leads to a file that can be read."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from tests.trainables.file_formats import (  # noqa: F401  they enter theirs
    folders,
    h5ad_files,
    labels_tables,
    other_hdf5,
    tables,
    tables_refused,
    zarr_folders,
)
from tests.trainables.file_formats.table import (
    CELLS,
    COUNTS,
    GENES,
    LABELS,
    READ,
    REFUSED,
    Given,
    cells,
    h5ad,
)
from trainables.cells import decision, open_cells, prepare
from trainables.store import Store
from trainables.userdata import UserFile


def taken(given: Given, store):
    mine = UserFile(given.path, given.label_key, labels=given.labels, transpose=given.transpose)
    return open_cells(prepare(mine, Store(store)))


@pytest.mark.parametrize("recipe", READ)
def test_the_cells_are_the_same(recipe, tmp_path):
    home = tmp_path / "files"
    home.mkdir()
    given = READ[recipe](home)
    found = taken(given, tmp_path / "store")
    assert found.n_obs == given.cells
    rows = [CELLS.index(cell) for cell in found.obs_names]
    assert found.var_names.tolist() == GENES
    np.testing.assert_array_equal(found.layers["counts"].toarray(), COUNTS[rows])
    assert found.obs["cell_type"].tolist() == LABELS["cell_type"].iloc[rows].tolist()
    assert given.note in " ".join(decision(found).notes)


@pytest.mark.parametrize("recipe", REFUSED)
def test_the_sentence_names_the_way_out(recipe, tmp_path):
    make, words = REFUSED[recipe]
    home = tmp_path / "files"
    home.mkdir()
    with pytest.raises((ValueError, LookupError)) as refused:
        taken(make(home), tmp_path / "store")
    sentence = str(refused.value)
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("compression", ["Blosc", "Zstd", "LZ4"])
def test_compressions_of_hdf5plugin_are_read(compression, tmp_path):
    plugin = pytest.importorskip("hdf5plugin", reason="hdf5plugin is an extra")
    path, values = h5ad(tmp_path), cells().X.data
    with h5py.File(path, "r+") as file:  # numbers only: Blosc crashes on texts of any length
        del file["X/data"]
        options = dict(getattr(plugin, compression)())
        file.create_dataset("X/data", data=values, chunks=(100,), **options)
    script = (
        "import sys; from trainables.readers import read; from pathlib import Path;"
        " print(read(Path(sys.argv[1])).X[:].sum())"
    )  # in another process, where the package is not imported yet
    words = [sys.executable, "-c", script, str(path)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=600, check=True)
    assert float(ended.stdout) == COUNTS.sum()


def test_a_file_that_is_open_elsewhere_is_called_that(tmp_path):
    path = h5ad(tmp_path)
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); input()"
    words = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ValueError, match="open elsewhere") as refused:
            UserFile(path).read()
        other.communicate("\n")
    assert "damaged" not in str(refused.value)
    assert UserFile(path).read().n_obs == len(CELLS)
