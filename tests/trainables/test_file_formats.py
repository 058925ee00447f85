"""Every format gives the same cells, or a sentence that leads to a file that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainables.file_formats import folders, hdf5_and_zarr, tables  # noqa: F401  they enter theirs
from tests.trainables.file_formats.table import CELLS, COUNTS, GENES, LABELS, READ, REFUSED, Given
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
