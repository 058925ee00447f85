"""What values are: counts, their logarithms, and what is neither."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from tests.trainables.intake_cases.table import (
    case,
    cells,
    counts,
    logged,
    made,
    scaled,
    variable,
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


# ---- ranks and downsampled counts ---------------------------------------------------------------


def ranked(method: str) -> Any:
    """Ranks of each cell's expressed genes."""
    found = counts()
    for row in range(found.shape[0]):
        part = slice(found.indptr[row], found.indptr[row + 1])
        found.data[part] = rankdata(found.data[part], method)
    return cells(found)


@case("refused", "as ranks do")
def ranks_of_genes():
    return ranked("ordinal")


@case("refused", "as ranks do")
def ranks_of_genes_with_ties():
    return ranked("min")


@case("corrected", "as --values counts says", values="counts")
def one_batch_downsampled_on_the_users_word():
    found = counts().toarray()
    first = cells().obs["batch"].eq("batch 0").to_numpy()
    found[first] = downsampled()[first]
    return cells(found)
