"""What values are: counts, their logarithms, and what is neither."""

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

# ---- counts, in whatever form ------------------------------------------------------------------


@case("counts")
def csr_counts():
    return cells()


@case("counts")
def dense_counts():
    return cells(counts().toarray().astype(np.float64))


@case("counts")
def csc_counts():
    return cells(sparse.csc_matrix(counts()))


@case("counts")
def integer_counts():
    return cells(counts().astype(np.int32))


@case("counts")
def unsigned_counts():
    return cells(counts().toarray().astype(np.uint16))


@case("counts")
def half_precision_counts():
    return cells(counts().toarray().astype(np.float16))


@case("counts", "rounded")
def counts_with_noise():
    x = counts().astype(np.float64)
    x.data += np.random.default_rng(0).normal(0, 1e-7, x.nnz)
    return cells(x)


@case("counts", "rounded")
def counts_with_noise_on_zeros():
    x = counts().toarray().astype(np.float64)
    return cells(x + np.abs(np.random.default_rng(0).normal(0, 1e-9, x.shape)))


@case("counts", "rounded")
def counts_through_single_precision_logs():
    x = counts()
    x.data = np.expm1(np.log1p(x.data))
    return cells(x)


# ---- scaled, not logged ------------------------------------------------------------------------


@case("refused", "counts per 10,000, not logged")
def cp10k():
    return cells(scaled())


@case("refused", "--values")
def cpm():
    return cells(scaled(1e6))


@case("refused", "--values")
def proportions():
    return cells(scaled(1.0))


@case("refused", "never logged")
def cp10k_of_chosen_genes():
    return cells(scaled(), variable())


@case("lognorm", "--values linear", values="linear")
def cp10k_on_the_users_word():
    return cells(scaled())


@case("lognorm", "--values linear", values="linear")
def proportions_on_the_users_word():
    return cells(scaled(1.0))


@case("refused", "cannot be right", values="counts")
def cp10k_that_the_user_calls_counts():
    return cells(scaled())


@case("refused", "cannot be right", values="lognorm")
def counts_that_the_user_calls_logs():
    return cells()


@case("refused", "cannot be right", values="linear")
def logs_that_the_user_calls_linear():
    return cells(logged())


@case("refused", "every cell sums to about")
def cpm_in_whole_numbers():
    x = scaled(1e6)
    x.data = np.round(x.data)
    return cells(x)


def rounded(matrix: sparse.csr_matrix, how: Any = np.round) -> sparse.csr_matrix:
    matrix.data = how(matrix.data)
    matrix.eliminate_zeros()
    return matrix


@case("refused", "whole numbers, but")
def cp10k_rounded():
    return cells(rounded(scaled()))


@case("refused", "whole numbers, but")
def cp10k_truncated():
    return cells(rounded(scaled(), np.floor))


@case("refused", "whole numbers, but")
def cpm_of_chosen_genes_rounded():
    return cells(rounded(scaled(1e6)), variable())


@case("lognorm", "--values linear", tolerance=0.5, values="linear")
def cp10k_rounded_on_the_users_word():
    return cells(rounded(scaled()))


@case("corrected", "about the same total")
def counts_corrected_to_one_depth():
    return cells(rounded(scaled("median")))


@case("refused", "every cell sums to about")
def downsampled_counts():
    return cells(downsampled())


@case("counts", values="counts")
def downsampled_counts_on_the_users_word():
    return cells()


def downsampled(depth: int = 300) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = counts().toarray().astype(np.int64)
    return np.array([rng.multivariate_hypergeometric(row, depth) for row in rows], np.float32)


def tpm() -> np.ndarray:
    """Counts over lengths of genes, one million in each cell."""
    x = counts().toarray() / np.random.default_rng(0).uniform(0.5, 10, made().n_vars)
    return (x / x.sum(axis=1, keepdims=True) * 1e6).astype(np.float32)


@case("refused", "--values")
def tpm_not_logged():
    return cells(tpm())


@case("refused", "--values")
def tpm_of_chosen_genes():
    return cells(tpm(), variable())


# ---- no expression, or not for sure ------------------------------------------------------------


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
