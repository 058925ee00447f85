"""The embedded cells: counts are recovered, not guessed."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.datasets.pbmc68k_reduced import shipped_file


@pytest.fixture(scope="module")
def shipped():
    cells = ad.read_h5ad(shipped_file())
    return sparse.csr_matrix(cells.raw.X).astype(float), cells.obs["n_counts"].to_numpy(float)


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("pbmc68k_reduced"), ctx.store))


def test_shipped_values_are_counts_to_within_012(shipped):
    logged, sizes = shipped
    exact = np.expm1(logged.data) * np.repeat(sizes, np.diff(logged.indptr)) / 1e4
    assert np.abs(exact - np.round(exact)).max() < 0.12
    assert np.round(exact).min() >= 1  # what the file stores as non-zero stays non-zero


def test_normalising_the_counts_gives_the_shipped_values_back(cells, shipped):
    logged, sizes = shipped
    counts = cells.layers["counts"]
    again = np.log1p(counts.data * 1e4 / np.repeat(sizes, np.diff(counts.indptr)))
    assert np.abs(again - logged.data).max() < 0.00051  # the file rounds to three decimals
    assert np.abs(cells.X.data - logged.data).max() < 0.00051


def test_the_prepared_cells_are_what_the_contract_says(cells):
    assert cells.X.dtype == np.float32
    assert isinstance(cells.X, sparse.csr_matrix)
    assert (cells.n_obs, cells.n_vars) == (700, 765)
    assert cells.obs["cell_type"].nunique() == 10
    assert (cells.layers["counts"].data == np.round(cells.layers["counts"].data)).all()
    assert cells.uns["gauntlet"]["has_counts"]
    assert "CD3D" in cells.var_names
