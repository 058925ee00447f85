"""Prepared cells are the same however they came, in whatever blocks, and rows of them are views."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from trainables import matrices
from trainables.cells import blocks, open_cells, parted, prepare, rows
from trainables.readers import read
from trainables.store import Store, digest


@dataclass(frozen=True)
class Given:
    """A data set of what a test has in hand."""

    source: Any
    name: str = "given"
    sha256: str = digest("given")
    summary: str = "cells of a test"

    def read(self) -> Any:
        return self.source


def counted(seed: int = 0, n_cells: int = 40, n_genes: int = 12) -> Any:
    """Sparse counts, one cell and one gene of them without any."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (n_cells, n_genes)).astype(np.float32)
    counts[3], counts[:, 5] = 0, 0
    obs = pd.DataFrame(
        {"cell_type": rng.choice(["a", "b"], n_cells), "batch": rng.choice(["x", "y"], n_cells)},
        index=pd.Index([f"cell{i}" for i in range(n_cells)]),
    )
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(n_genes)]))


def prepared(source: Any, folder: Path) -> Any:
    return open_cells(prepare(Given(source), Store(folder)))


def content(home: Path) -> dict[str, bytes]:
    """Every byte of a prepared set, but for HDF5's own book-keeping."""
    return {f.name: f.read_bytes() for f in sorted(home.iterdir()) if f.suffix != ".h5ad"}


FORMS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}


@pytest.mark.parametrize("where", ["memory", "h5ad", "zarr"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_cells(form, where, tmp_path):
    source = counted()
    plain = prepare(Given(source), Store(tmp_path / "plain"))
    other = ad.AnnData(FORMS[form](source.X), obs=source.obs, var=source.var)
    if where != "memory":
        path = tmp_path / f"cells.{where}"
        other.write_h5ad(path) if where == "h5ad" else other.write_zarr(path)
        other = read(path)
        assert not sparse.issparse(other.X)  # still in its file
    assert content(prepare(Given(other), Store(tmp_path / "other"))) == content(plain)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(block=st.integers(1, 400), form=st.sampled_from(list(FORMS)), seed=st.integers(0, 3))
def test_blocks_of_any_size_give_the_same_cells(block, form, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    source = counted(seed)
    source.obs.loc["cell7", "cell_type"] = np.nan
    expected = prepare(Given(source), Store(folder / "expected"))
    source.X = FORMS[form](source.X)
    source.write_h5ad(folder / "cells.h5ad")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matrices, "BLOCK", block)
        found = prepare(Given(read(folder / "cells.h5ad")), Store(folder / "found"))
    assert content(found) == content(expected)


def test_values_are_the_log_of_scaled_counts(tmp_path):
    source = counted()
    cells = prepared(source, tmp_path)
    counts = source.X.astype(float)
    sizes = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.testing.assert_array_equal(
        cells.X.toarray(), np.log1p(counts * (1e4 / sizes)).astype(np.float32)
    )
    np.testing.assert_array_equal(cells.layers["counts"].toarray(), counts)
    assert cells.X.dtype == np.float32


def test_logged_values_are_kept_as_they_are(tmp_path):
    source = counted()
    expected = prepared(source, tmp_path / "counts").X.toarray()
    source.X = expected
    cells = prepared(source, tmp_path / "logged")
    np.testing.assert_array_equal(cells.X.toarray(), source.X)
    assert not cells.layers
    assert not cells.uns["gauntlet"]["has_counts"]


def test_cells_without_a_type_are_left_out(tmp_path):
    source = counted()
    source.obs.loc["cell7", "cell_type"] = np.nan
    cells = prepared(source, tmp_path)
    assert "cell7" not in cells.obs_names
    np.testing.assert_array_equal(
        cells.layers["counts"].toarray(), source.X[source.obs_names != "cell7"]
    )


def test_names_of_cells_become_unique(tmp_path):
    source = counted()
    source.obs_names = ["one", "one", *source.obs_names[2:]]
    assert prepared(source, tmp_path).obs_names[:2].tolist() == ["one", "one-1"]


def test_indices_are_wide_where_values_are_too_many(tmp_path, monkeypatch):
    narrow = prepared(counted(), tmp_path / "narrow")
    monkeypatch.setattr(matrices, "WIDEST_INT32", 100)
    wide = prepared(counted(), tmp_path / "wide")
    assert narrow.X.indices.dtype == narrow.X.indptr.dtype == np.int32
    assert wide.X.indices.dtype == wide.X.indptr.dtype == np.int64
    assert (wide.X != narrow.X).nnz == 0


def test_opening_copies_nothing(tmp_path):
    cells = prepared(counted(), tmp_path)
    for matrix in (cells.X, cells.layers["counts"]):
        for part in (matrix.data, matrix.indices, matrix.indptr):
            assert not part.flags.owndata
            assert not part.flags.writeable


def test_rows_are_a_view_that_sees_no_other_labels(tmp_path):
    cells = prepared(counted(), tmp_path)
    index = np.array([9, 2, 30])
    some: Any = rows(cells, index, labels=True)
    assert some.is_view
    assert some.obs["cell_type"].tolist() == cells.obs["cell_type"].iloc[index].tolist()
    np.testing.assert_array_equal(some.X.toarray(), cells.X.toarray()[index])
    assert some._adata_ref.obs["cell_type"].notna().sum() == 3


@pytest.mark.parametrize("index", [np.arange(1, 40), np.array([3, 5]), np.array([7])])
def test_rows_have_the_categories_that_occur_and_no_others(tmp_path, index):
    cells = prepared(counted(), tmp_path)
    some: Any = rows(cells, index, labels=True)
    for key in some.obs:
        occurring = sorted(set(cells.obs[key].iloc[index]))
        assert some.obs[key].cat.categories.tolist() == occurring


def test_parts_are_rows_and_test_cells_have_no_label(tmp_path):
    cells = prepared(counted(), tmp_path)
    parts = np.array([0, 9, 4]), np.array([2, 3]), np.array([30, 31])
    train, valid, test = (cast(Any, part) for part in parted(cells, parts))
    for part, index in zip((train, valid, test), parts, strict=True):
        assert part.obs_names.tolist() == cells.obs_names[index].tolist()
    for part, index in ((train, parts[0]), (valid, parts[1])):
        assert part.obs["cell_type"].tolist() == cells.obs["cell_type"].iloc[index].tolist()
        assert part._adata_ref.obs["cell_type"].notna().sum() == 5
    assert "cell_type" not in test.obs
    assert "cell_type" not in test._adata_ref.obs


def test_rows_without_labels_have_none_to_read(tmp_path):
    cells = prepared(counted(), tmp_path)
    some: Any = rows(cells, np.array([1, 2]), labels=False)
    assert "cell_type" not in some.obs
    assert "cell_type" not in some._adata_ref.obs


def test_blocks_are_the_cells_in_order(tmp_path):
    some = rows(prepared(counted(), tmp_path), np.arange(1, 40, 3), labels=False)
    found = sparse.vstack([block.X for block in blocks(some, 4)])
    np.testing.assert_array_equal(found.toarray(), some.X.toarray())


def test_a_file_of_many_cells_is_prepared_from_the_file(tmp_path):
    """What is read at once stays small: a block is asked for, never the whole."""
    source = counted(n_cells=2000)
    sparse_source = ad.AnnData(sparse.csr_matrix(source.X), obs=source.obs, var=source.var)
    sparse_source.write_h5ad(tmp_path / "cells.h5ad")
    lazy = read(tmp_path / "cells.h5ad")
    assert isinstance(lazy.X.group, h5py.Group)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matrices, "BLOCK", 1200)
        sizes = [block.shape[0] for block in matrices.row_blocks(lazy.X, tmp_path)]
    assert max(sizes) == 100
    assert sum(sizes) == 2000
