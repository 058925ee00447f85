"""Values that are no expression, batches on different scales, and totals of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from tests.trainables.intake_cases.table import (
    case,
    cells,
    counts,
    logged,
    made,
    scaled,
    variable,
    with_layer,
    zscores,
)


@case("refused", "--counts-layer")
def scaled_alone():
    return cells(zscores())


@case("refused", "--values")
def scaled_clipped_at_zero():
    return cells(np.maximum(zscores(), 0))


@case("refused", "negative")
def batch_corrected():
    return cells(logged().toarray() - np.float32(0.05))


@case("refused", "--values")
def from_zero_to_one():
    x = logged().toarray()
    return cells(x / np.maximum(x.max(axis=0), 1e-9))


@case("refused", "0 and 1 only")
def yes_or_no():
    x = counts()
    x.data = np.ones_like(x.data)
    return cells(x)


@case("refused", "bool")
def truth_values():
    return cells(counts().toarray() > 0)


@case("refused", "--values")
def square_roots():
    return cells(scaled().sqrt())


def smooth(x: np.ndarray) -> np.ndarray:
    """Averages over similar cells."""
    weights = np.maximum(np.corrcoef(x), 0) ** 8
    return weights / weights.sum(axis=1, keepdims=True) @ x


@case("refused", "--values")
def imputed_logs():
    return cells(smooth(logged().toarray()).astype(np.float32))


@case("refused", "not zero")
def imputed_proportions_logged():
    x = smooth(scaled().toarray())
    return cells(np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4).astype(np.float32))


@case("refused", "NaN")
def nan_in_x():
    x = logged().toarray()
    x[3, 4] = np.nan
    return cells(x)


def soup() -> sparse.csr_matrix:
    """Counts less a part for the background, in fractions, as SoupX leaves them."""
    x = counts()
    x.data = x.data * np.random.default_rng(0).uniform(0.9, 1.0, x.nnz).astype(np.float32)
    return x


@case("refused", "--values")
def background_taken_off():
    return cells(soup())


@case("lognorm", "is not used")
def background_taken_off_in_the_layer():
    return with_layer("counts", soup(), logged())


@case("refused", "--values")
def background_taken_off_in_the_layer_beside_scaled():
    return with_layer("counts", soup())


@case("lognorm", "scaled to 10,000 per cell", tolerance=0.15, values="linear")
def background_taken_off_on_the_users_word():
    return cells(soup())


@case("refused", "cannot be right", values="counts")
def logs_that_the_user_calls_counts():
    return cells(logged())


# ---- batches on different scales ---------------------------------------------------------------


def mixed(one: Any, other: Any, genes: Any = None) -> Any:
    """X of one kind in the first batch and of another kind in the second."""
    dense = np.asarray(one.toarray(), dtype=np.float32)
    second = (made().obs["batch"] == "batch 1").to_numpy()
    dense[second] = other.toarray()[second]
    return cells(sparse.csr_matrix(dense), genes)


@case("refused", "'batch 0' holds counts and 'batch 1' ln(1 + counts per 10,000)")
def counts_and_logs():
    return mixed(counts(), logged())


@case("refused", "'batch 0' holds ln(1 + counts per 10,000) and 'batch 1' log2")
def two_bases():
    return mixed(logged(), logged(1e6, 2))


@case("refused", "ln(1 + counts per 10,000) and 'batch 1' ln(1 + counts per 1,000,000)")
def two_totals():
    return mixed(logged(), logged(1e6))


@case("refused", "on different scales")
def counts_and_cp10k():
    return mixed(counts(), scaled())


@case("refused", "on different scales")
def counts_and_rounded_cpm():
    x = scaled(1e6)
    x.data = np.round(x.data)
    return mixed(counts(), x)


@case("refused", "on different scales")
def two_bases_of_chosen_genes():
    return mixed(logged(), logged(base=2), variable())


@case("refused", "on different scales", batch_key=None)
def counts_and_logs_without_batches():
    found = mixed(counts(), logged())
    del found.obs["batch"]
    return found


@case("refused", "on different scales", batch_key=None)
def two_bases_without_batches():
    found = mixed(logged(), logged(base=2))
    del found.obs["batch"]
    return found


@case("refused", "on different scales", batch_key=None)
def two_totals_without_batches():
    found = mixed(logged(), logged("median"))
    del found.obs["batch"]
    return found


@case("refused", "cannot be told", batch_key=None)
def two_totals_of_chosen_genes_without_batches():
    found = mixed(logged(), logged("median"), variable())
    del found.obs["batch"]
    return found


@case("refused", "cannot be told", batch_key=None)
def two_far_totals_of_chosen_genes_without_batches():
    found = mixed(logged(), logged(1e6), variable())
    del found.obs["batch"]
    return found


@case("refused", "on different scales")
def median_depth_of_each_batch():
    second = (made().obs["batch"] == "batch 1").to_numpy()
    deeper = counts()
    deeper.data[np.repeat(second, np.diff(deeper.indptr))] *= 3
    parts = [logged("median", matrix=deeper[~second]), logged("median", matrix=deeper[second])]
    dense = np.zeros(made().shape, dtype=np.float32)
    dense[~second], dense[second] = (part.toarray() for part in parts)
    return cells(sparse.csr_matrix(dense))


# ---- columns of library sizes ------------------------------------------------------------------


@case("counts")
def library_size_in_log10():
    found = cells()
    found.obs["library_size"] = np.log10(np.asarray(counts().sum(axis=1)).ravel())
    return found


@case("counts")
def library_size_in_words():
    found = cells()
    found.obs["library_size"] = np.where(np.arange(found.n_obs) % 2, "low", "high")
    return found


@case("counts", library_size="total")
def library_size_that_the_user_names():
    found = cells(genes=variable())
    found.obs["total"] = np.asarray(counts().sum(axis=1)).ravel()
    return found


@case("refused", "smaller than the counts", library_size="total")
def library_size_that_is_too_small():
    found = cells()
    found.obs["total"] = 1.0
    return found


def own_medians() -> Any:
    """Logarithms of batches that were scaled to their own median depth each."""
    depth = np.asarray(counts().sum(axis=1)).ravel()
    first = cells().obs["batch"].eq("batch 0").to_numpy()
    totals = np.where(first, np.median(depth[first]), 1.3 * np.median(depth[~first]))
    found = scaled(1.0)
    return sparse.csr_matrix(sparse.diags(totals) @ found).log1p().astype(np.float32)


@case("refused", "batches that were scaled to their own medians", batch_key=None)
def own_medians_without_batches():
    found = cells(own_medians())
    del found.obs["batch"]
    return found


@case("refused", "cells sum to more than", batch_key=None)
def a_few_cells_per_million():
    x = logged().toarray()
    x[:1] = logged(1e6)[:1].toarray()
    found = cells(x)
    del found.obs["batch"]
    return found


@case("lognorm", "not of whole counts", tolerance=0.3)
def logarithms_of_corrected_counts():
    found = counts()
    found.data *= np.random.default_rng(0).uniform(0.9, 1.0, found.nnz).astype(np.float32)
    return cells(logged(matrix=found))


@case("counts", "--library-size total_counts scales by it")
def larger_totals_that_nobody_named():
    found = cells()
    found.obs["total_counts"] = 3 * np.asarray(counts().sum(axis=1)).ravel()
    return found
