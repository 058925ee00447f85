"""The data card of cells whose truth is known: made ones, and the small real files."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from trainables.duplicates import near_duplicates, originals
from trainables.inspection import gene_names, inspect, profiles

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

KNOWN = {
    # name: cells, genes, labels, batches, values
    "zheng_facs_pbmc": (3874, 16791, 10, 10, "counts"),
    "pbmc3k": (2638, 13714, 9, 1, "counts"),
    "kang_ifnb": (1808, 9015, 8, 2, "counts"),
    "lung_celllines_mixology": (992, 17588, 5, 5, "counts"),
    "pancreas_beta_ductal_3tech": (528, 1403, 2, 3, "counts"),
    "pancreas_wang_xin_219genes": (1175, 219, 7, 2, "log-normalised"),
}


def real(name: str) -> ad.AnnData:
    path = SHARED / f"{name}.h5ad"
    if not path.exists():
        pytest.skip(f"the small real data are not at {SHARED}")
    return ad.read_h5ad(path)


def cells(n: int = 60, genes: int = 40, seed: int = 0) -> ad.AnnData:
    """Counts of three types in two batches, well mixed."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(20.0 * rng.gamma(1, 1, (1, genes)) + 1, (n, genes)).astype("float32")
    obs = pd.DataFrame(
        {"kind": [f"type {i % 3}" for i in range(n)], "run": [f"run {i % 2}" for i in range(n)]},
        index=[f"cell{i}" for i in range(n)],
    )
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(genes)])
    return ad.AnnData(X=sparse.csr_matrix(values), obs=obs, var=var)


def warned(card: dict, words: str) -> bool:
    return any(words in sentence for sentence in card["warnings"])


@pytest.mark.parametrize("name", KNOWN)
def test_the_card_of_a_real_file_is_right(name: str):
    card = inspect(real(name), name, "cell_type", "batch")
    n, genes, labels, batches, values = KNOWN[name]
    assert (card["cells"], card["genes"], card["values"]) == (n, genes, values)
    assert (len(card["labels"]), len(card["batches"])) == (labels, batches)
    assert sum(card["labels"].values()) == n
    assert card["gene_names"]["kind"] == "symbols"
    assert card["exact_duplicates"]["cells"] == card["near_duplicates"]["cells"] == 0


def test_sorted_populations_run_one_by_one_are_called_confounded():
    card = inspect(real("zheng_facs_pbmc"), "zheng", "cell_type", "batch")
    assert card["confounding"]["cramers_v"] == pytest.approx(1)
    assert warned(card, "label and batch are nearly the same thing")


def test_types_of_one_condition_only_are_named():
    card = inspect(real("kang_ifnb"), "kang", "cell_type", "batch")
    assert len(card["labels"]) - len(card["confounding"]["labels_in_one_batch"]) == 5
    assert warned(card, "3 of 8 types lie in one batch only (NK cells, Dendritic cells, Mega")
    assert warned(card, "tiny classes: Megakaryocytes (7)")


def test_logged_values_and_few_genes_are_called_that():
    card = inspect(real("pancreas_wang_xin_219genes"), "wang", "cell_type", "batch")
    assert warned(card, "X is logged")
    assert warned(card, "only 219 genes")


def test_clean_cells_get_no_warning():
    made = cells(n=60, genes=1200)
    assert inspect(made, "made", "kind", "run")["warnings"] == []


def test_library_sizes_and_sparsity_are_those_of_the_counts():
    made = cells()
    card = inspect(made, "made")
    sums = made.X.toarray().sum(axis=1)
    assert card["library_size"]["min"] == sums.min()
    assert card["library_size"]["median"] == np.median(sums)
    assert card["nonzero"] == pytest.approx((made.X.toarray() > 0).mean())
    assert sum(card["library_size"]["histogram"]["cells"]) == made.n_obs


def test_exact_repeats_are_found_with_their_labels():
    made = cells()
    dense = made.X.toarray()
    dense[10], dense[11] = dense[0], dense[1]
    made.X = sparse.csr_matrix(dense)
    found = inspect(made, "made", "kind", "run")["exact_duplicates"]
    assert found == {"cells": 2, "pairs": [(0, 10), (1, 11)], "other_label": 2}


def test_a_deeper_copy_of_a_cell_is_a_near_duplicate():
    made = cells()
    dense = made.X.toarray()
    dense[7] = dense[3] * 2
    made.X = sparse.csr_matrix(dense)
    card = inspect(made, "made", "kind", "run")
    assert card["exact_duplicates"]["cells"] == 0
    assert card["near_duplicates"]["pairs"] == [(3, 7)]
    assert warned(card, "1 cells are near-duplicates")


@pytest.mark.parametrize("threshold", [0.9, 0.97, 0.9999])
def test_near_duplicates_are_those_of_all_pairs(threshold: float):
    made = cells(n=300, genes=80, seed=3)
    rows = profiles(made.X, "counts")
    cosine = np.triu((rows @ rows.T).toarray(), 1)
    found = near_duplicates(rows, originals(made.X), None, threshold)
    assert found["cells"] == len(np.unique(np.nonzero(cosine > threshold)[1]))


def test_near_duplicates_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch):
    from trainables import duplicates

    made = cells(n=200)
    dense = made.X.toarray()
    dense[100:] = dense[:100] * 3
    rows = profiles(sparse.csr_matrix(dense), "counts")
    whole = duplicates.nominated
    monkeypatch.setattr(duplicates, "nominated", lambda r, t: whole(r, t, block=16))
    found = near_duplicates(rows, originals(sparse.csr_matrix(dense)), None)
    assert found["cells"] == 100
    assert found["pairs"][0] == (0, 100)


def test_cells_without_label_count_apart():
    made = cells()
    made.obs["kind"] = [None, " ", *made.obs["kind"][2:]]
    card = inspect(made, "made", "kind", "run")
    assert card["unlabelled"] == 2
    assert sum(card["labels"].values()) == 58
    assert warned(card, "2 cells have no label")


def test_counts_are_preferred_wherever_they_are():
    made = cells()
    logged = ad.AnnData(X=np.log1p(made.X), obs=made.obs, var=made.var)
    assert inspect(logged, "made")["values"] == "log-normalised"
    logged.raw = made
    assert inspect(logged, "made")["values_from"] == "raw.X"
    logged.layers["counts"] = made.X
    assert inspect(logged, "made")["values_from"] == "layers['counts']"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x: x - 5, "scaled"),
        (lambda x: x * 100.5, "neither counts nor logged"),
        (lambda x: x * np.nan, "NaN or infinite values"),
        (lambda x: x * 0, "nothing but zeros"),
    ],
)
def test_values_that_cannot_be_used_are_called_by_their_kind(change, kind: str):
    made = cells()
    made.X = change(made.X.toarray())
    card = inspect(made, "made")
    assert card["values"] == kind
    assert warned(card, kind)
    assert card["near_duplicates"] is None


def test_an_empty_matrix_is_refused():
    with pytest.raises(ValueError, match="made: the matrix is empty"):
        inspect(cells()[:0], "made")


def test_gene_names_are_told_apart():
    ids = pd.Index([f"ENSG{i:011d}" for i in range(20)])
    assert gene_names(ids)["kind"] == "Ensembl ids"
    assert gene_names(pd.Index(["CD4", "CD8A", "CD4"]))["repeated"] == 1
    assert gene_names(ids.append(pd.Index(["CD4"] * 20)))["kind"] == "mixed"


def test_one_class_only_has_nothing_to_tell_apart():
    made = cells()
    made.obs["kind"] = "same"
    assert warned(inspect(made, "made", "kind", "run"), "nothing to tell apart")


def test_inspecting_leaves_the_cells_as_they_were():
    made = cells()
    before = made.X.copy()
    inspect(made, "made", "kind", "run")
    np.testing.assert_array_equal(made.X.toarray(), before.toarray())
