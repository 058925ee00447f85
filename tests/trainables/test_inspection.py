"""The data card of cells whose truth is known: made ones, and the small real files."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from trainables import duplicates
from trainables.cells import open_cells, prepare
from trainables.duplicates import near_duplicates, originals
from trainables.inspection import gene_names, inspect
from trainables.store import Store
from trainables.userdata import UserFile

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

KNOWN = {
    # name: cells, genes, labels, batches, values
    "zheng_facs_pbmc": (3874, 16791, 10, 10, "counts"),
    "pbmc3k": (2638, 13714, 9, 1, "counts"),
    "kang_ifnb": (1808, 9015, 8, 2, "counts"),
    "lung_celllines_mixology": (992, 17588, 5, 5, "counts"),
    "pancreas_beta_ductal_3tech": (528, 1403, 2, 3, "counts"),
    "pancreas_wang_xin_219genes": (1175, 219, 7, 2, "lognorm"),
}


def real(name: str) -> Path:
    path = SHARED / f"{name}.h5ad"
    if not path.exists():
        pytest.skip(f"the small real data are not at {SHARED}")
    return path


def cells(n: int = 60, genes: int = 40, seed: int = 0) -> ad.AnnData:
    """Counts of three types in two batches, well mixed, of cells of different depth."""
    rng = np.random.default_rng(seed)
    rates = (20.0 * rng.gamma(1, 1, (1, genes)) + 1) * rng.lognormal(0, 0.3, (n, 1))
    values = rng.poisson(rates).astype("float32")
    obs = pd.DataFrame(
        {"kind": [f"type {i % 3}" for i in range(n)], "run": [f"run {i % 2}" for i in range(n)]},
        index=[f"cell{i}" for i in range(n)],
    )
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(genes)])
    return ad.AnnData(X=sparse.csr_matrix(values), obs=obs, var=var)


def card_of(cells: ad.AnnData, folder: Path, *keys: str | None) -> dict:
    """The data card of cells that lie in a file, as `data check` makes it."""
    cells.write_h5ad(folder / "made.h5ad")
    mine = UserFile(folder / "made.h5ad", *keys)
    return inspect(open_cells(prepare(mine, Store(folder / "store"))), "made")


def logged(cells: ad.AnnData) -> sparse.csr_matrix:
    """ln(1 + counts per 10,000) of counts."""
    sums = np.asarray(cells.X.sum(axis=1)).ravel()
    scaled = sparse.csr_matrix(sparse.diags(1e4 / sums) @ cells.X)
    return scaled.log1p().astype(np.float32)


def warned(card: dict, words: str) -> bool:
    return any(words in sentence for sentence in card["warnings"])


@pytest.mark.parametrize("name", KNOWN)
def test_the_card_of_a_real_file_is_right(name: str, tmp_path: Path):
    n, genes, labels, batches, values = KNOWN[name]
    words = {"values": "lognorm"} if values == "lognorm" else {}
    card = real_card(name, tmp_path, **words)
    assert (card["cells"], card["genes"], card["values"]["kind"]) == (n, genes, values)
    assert (len(card["labels"]), len(card["batches"])) == (labels, batches)
    assert sum(card["labels"].values()) == n
    assert card["gene_names"]["kind"] == "symbols"
    assert card["exact_duplicates"]["cells"] == card["near_duplicates"]["cells"] == 0


def real_card(name: str, folder: Path, **words: str) -> dict:
    mine = UserFile(real(name), "cell_type", "batch", **words)
    return inspect(open_cells(prepare(mine, Store(folder))), name)


def test_sorted_populations_run_one_by_one_are_called_confounded(tmp_path: Path):
    card = real_card("zheng_facs_pbmc", tmp_path)
    assert card["confounding"]["cramers_v"] == pytest.approx(1)
    assert warned(card, "label and batch are nearly the same thing")


def test_types_of_one_condition_only_are_named(tmp_path: Path):
    card = real_card("kang_ifnb", tmp_path)
    assert len(card["labels"]) - len(card["confounding"]["labels_in_one_batch"]) == 5
    assert warned(card, "3 of 8 types lie in one batch only (NK cells, Dendritic cells, Mega")
    assert warned(card, "tiny classes: Megakaryocytes (7)")


def test_logged_values_and_few_genes_are_called_that(tmp_path: Path):
    card = real_card("pancreas_wang_xin_219genes", tmp_path, values="lognorm")
    assert warned(card, "X holds no raw counts")
    assert warned(card, "only 219 genes")


def test_clean_cells_get_no_warning(tmp_path: Path):
    made = cells(n=60, genes=1200)
    assert card_of(made, tmp_path, "kind", "run")["warnings"] == []


def test_library_sizes_and_sparsity_are_those_of_the_counts(tmp_path: Path):
    made = cells()
    card = card_of(made, tmp_path, "kind")
    sums = made.X.toarray().sum(axis=1)
    assert card["library_size"]["min"] == sums.min()
    assert card["library_size"]["median"] == np.median(sums)
    assert card["nonzero"] == pytest.approx((made.X.toarray() > 0).mean())
    assert sum(card["library_size"]["histogram"]["cells"]) == made.n_obs


def test_exact_repeats_are_found_with_their_labels(tmp_path: Path):
    made = cells()
    dense = made.X.toarray()
    dense[10], dense[11] = dense[0], dense[1]
    made.X = sparse.csr_matrix(dense)
    found = card_of(made, tmp_path, "kind", "run")["exact_duplicates"]
    assert found == {"cells": 2, "pairs": [(0, 10), (1, 11)], "other_label": 2}


def test_a_deeper_copy_of_a_cell_is_a_near_duplicate(tmp_path: Path):
    made = cells()
    dense = made.X.toarray()
    dense[7] = dense[3] * 2
    made.X = sparse.csr_matrix(dense)
    card = card_of(made, tmp_path, "kind", "run")
    assert card["exact_duplicates"]["cells"] == 0
    assert card["near_duplicates"]["pairs"] == [(3, 7)]
    assert warned(card, "1 cells are near-duplicates")


@pytest.mark.parametrize("threshold", [0.9, 0.97, 0.9999])
def test_near_duplicates_are_those_of_all_pairs(threshold: float):
    made = cells(n=300, genes=80, seed=3)
    rows = logged(made)
    whole = rows.toarray() / np.linalg.norm(rows.toarray(), axis=1, keepdims=True)
    found = near_duplicates(rows, originals(made.X), None, threshold)
    cosine = np.triu(whole @ whole.T, 1)
    assert found["cells"] == len(np.unique(np.nonzero(cosine > threshold)[1]))


def test_near_duplicates_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch):
    made = cells(n=200)
    dense = made.X.toarray()
    dense[100:] = dense[:100] * 3
    made.X = sparse.csr_matrix(dense)
    whole = duplicates.nominated
    monkeypatch.setattr(duplicates, "nominated", lambda r, t: whole(r, t, block=16))
    found = near_duplicates(logged(made), originals(made.X), None)
    assert found["cells"] == 100
    assert found["pairs"][0] == (0, 100)


def test_cells_without_label_count_apart(tmp_path: Path):
    made = cells()
    made.obs["kind"] = [None, " ", *made.obs["kind"][2:]]
    card = card_of(made, tmp_path, "kind", "run")
    assert card["unlabelled"] == 2
    assert sum(card["labels"].values()) == 58
    assert warned(card, "2 cells have no usable label")


def test_gene_names_are_told_apart():
    ids = pd.Index([f"ENSG{i:011d}" for i in range(20)])
    assert gene_names(ids)["kind"] == "Ensembl ids"
    assert gene_names(pd.Index(["CD4", "CD8A", "CD4"]))["repeated"] == 1
    assert gene_names(ids.append(pd.Index(["CD4"] * 20)))["kind"] == "mixed"


def test_one_class_only_has_nothing_to_tell_apart(tmp_path: Path):
    made = cells()
    made.obs["kind"] = "same"
    assert warned(card_of(made, tmp_path, "kind", "run"), "nothing to tell apart")
