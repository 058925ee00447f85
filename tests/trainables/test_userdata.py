"""A user's file of any usual kind becomes the same cells, and what was guessed is said."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.io import mmwrite

from trainables.cells import open_cells, prepare
from trainables.store import Store
from trainables.userdata import UserFile

COUNTS = np.random.default_rng(0).poisson(1.5, (20, 5))
CELLS = [f"cell{i}" for i in range(20)]
GENES = [f"GENE{i}" for i in range(5)]
TYPES = ["a", "b"] * 10


def cells(**obs: Any) -> Any:
    frame = pd.DataFrame(obs or {"cell_type": TYPES}, index=pd.Index(CELLS))
    return ad.AnnData(COUNTS.astype(np.float32), obs=frame, var=pd.DataFrame(index=GENES))


def labels(folder: Path) -> Path:
    frame = pd.DataFrame({"cell_type": TYPES}, index=pd.Index(CELLS, name="cell"))
    frame.iloc[::-1].to_csv(folder / "labels.csv")  # by name, not by order
    return folder / "labels.csv"


def h5ad(folder: Path) -> UserFile:
    cells().write_h5ad(folder / "mine.h5ad")
    return UserFile(folder / "mine.h5ad")


def zarr(folder: Path) -> UserFile:
    cells().write_zarr(folder / "mine.zarr")
    return UserFile(folder / "mine.zarr")


def csv(folder: Path) -> UserFile:
    table = pd.DataFrame(COUNTS, index=CELLS, columns=GENES)
    table.assign(cell_type=TYPES).to_csv(folder / "mine.csv")
    return UserFile(folder / "mine.csv")


def tsv_and_labels(folder: Path) -> UserFile:
    pd.DataFrame(COUNTS, index=CELLS, columns=GENES).to_csv(folder / "mine.tsv.gz", sep="\t")
    return UserFile(folder / "mine.tsv.gz", labels=labels(folder))


def tenx_folder(folder: Path) -> UserFile:
    home = folder / "mine"
    home.mkdir()
    mmwrite(home / "matrix.mtx", sparse.coo_matrix(COUNTS.T))
    ids = [f"ENSG0000000000{i}\t{gene}\tGene Expression" for i, gene in enumerate(GENES)]
    with gzip.open(home / "features.tsv.gz", "wt") as file:
        file.write("\n".join(ids) + "\n")
    (home / "barcodes.tsv").write_text("\n".join(CELLS) + "\n")
    return UserFile(home, labels=labels(folder))


def tenx_h5(folder: Path) -> UserFile:
    stored = sparse.csr_matrix(COUNTS.astype(np.int32))  # of cells x genes: 10x's CSC, transposed
    texts = {
        "barcodes": CELLS,
        "features/name": GENES,
        "features/id": [f"ENSG0000000000{i}" for i in range(5)],
        "features/feature_type": ["Gene Expression"] * 5,
        "features/genome": ["GRCh38"] * 5,
    }
    with h5py.File(folder / "mine.h5", "w") as file:
        for part in ("data", "indices", "indptr"):
            file[f"matrix/{part}"] = getattr(stored, part)
        file["matrix/shape"] = np.array(COUNTS.T.shape)
        for key, values in texts.items():
            file[f"matrix/{key}"] = np.array(values, dtype="S")
    return UserFile(folder / "mine.h5", labels=labels(folder))


KINDS = [h5ad, zarr, csv, tsv_and_labels, tenx_folder, tenx_h5]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_cells(kind, tmp_path):
    mine = kind(tmp_path)
    found = open_cells(prepare(mine, Store(tmp_path / "store")))
    assert mine.name == "mine"
    np.testing.assert_array_equal(found.layers["counts"].toarray(), COUNTS)
    assert found.obs["cell_type"].tolist() == TYPES
    assert found.var_names.tolist() == GENES
    assert found.obs_names.tolist() == CELLS


AUTHORS = "Factor Value[inferred cell type - authors labels]"
USUAL = ["celltype", "CellType", "Celltype", "bulk_labels", "annotation", "str_labels", AUTHORS]


@pytest.mark.parametrize("column", USUAL)
def test_the_usual_names_of_labels_are_found_and_said(column, tmp_path):
    cells(**{column: TYPES, "louvain": "0"}).write_h5ad(tmp_path / "mine.h5ad")
    found = UserFile(tmp_path / "mine.h5ad").read()
    assert found.obs["cell_type"].tolist() == TYPES
    assert found.uns["notes"] == [
        f"labels from obs[{column!r}] (2 types); say --label-key to choose another"
    ]


def test_cell_type_comes_before_all_others(tmp_path):
    cells(celltype="x", cell_type=TYPES, labels="y").write_h5ad(tmp_path / "mine.h5ad")
    assert UserFile(tmp_path / "mine.h5ad").read().obs["cell_type"].tolist() == TYPES


def test_nothing_is_said_of_keys_that_were_given(tmp_path):
    cells(mine=TYPES, plate=TYPES).write_h5ad(tmp_path / "mine.h5ad")
    found = UserFile(tmp_path / "mine.h5ad", "mine", "plate").read()
    assert found.obs["batch"].tolist() == TYPES
    assert found.uns["notes"] == []


def test_batches_are_found_where_there_is_no_doubt(tmp_path):
    cells(cell_type=TYPES, donor_id=TYPES, sample=CELLS).write_h5ad(tmp_path / "mine.h5ad")
    found = UserFile(tmp_path / "mine.h5ad").read()
    assert found.obs["batch"].tolist() == TYPES
    assert "batches from obs['donor_id'] (2); say --batch-key" in found.uns["notes"][1]


def test_doubtful_batches_are_left_out_and_named(tmp_path):
    cells(cell_type=TYPES, tech=TYPES, study=TYPES).write_h5ad(tmp_path / "mine.h5ad")
    found = UserFile(tmp_path / "mine.h5ad").read()
    assert "batch" not in found.obs
    assert "obs['tech'] or obs['study']" in found.uns["notes"][1]


def test_counts_come_from_raw_of_the_same_genes(tmp_path):
    source = cells()
    source.raw = source.copy()
    source.X = np.log1p(source.X)
    source.write_h5ad(tmp_path / "mine.h5ad")
    found = open_cells(prepare(UserFile(tmp_path / "mine.h5ad"), Store(tmp_path / "store")))
    np.testing.assert_array_equal(found.layers["counts"].toarray(), COUNTS)


def test_the_identity_is_content_and_reading(tmp_path):
    path = h5ad(tmp_path).path
    same = UserFile(path).sha256
    assert UserFile(path.rename(tmp_path / "moved.h5ad")).sha256 == same
    for other in ({"label_key": "cell_type"}, {"min_cells": 3}, {"labels": labels(tmp_path)}):
        assert UserFile(tmp_path / "moved.h5ad", **other).sha256 != same


@pytest.mark.parametrize("part", ["", "matrix.mtx"])
def test_the_identity_of_a_folder_covers_every_file_that_is_read(part, tmp_path):
    mine = tenx_folder(tmp_path)
    before = UserFile(mine.path / part, labels=mine.labels).sha256
    (mine.path / "reads.bam").write_bytes(b"BAM")
    assert UserFile(mine.path / part, labels=mine.labels).sha256 == before
    (mine.path / "barcodes.tsv").write_text("\n".join(reversed(CELLS)) + "\n")
    assert UserFile(mine.path / part, labels=mine.labels).sha256 != before


def test_small_types_are_left_out_and_named(tmp_path):
    cells(cell_type=["a", "b"] * 9 + ["a", "rare"]).write_h5ad(tmp_path / "mine.h5ad")
    mine = UserFile(tmp_path / "mine.h5ad", "cell_type", min_cells=3)
    found = open_cells(prepare(mine, Store(tmp_path / "store")))
    assert found.n_obs == 19
    assert found.uns["gauntlet"]["notes"] == ["types of fewer than 3 cells left out: rare"]
