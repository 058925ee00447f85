"""scGPT's bins: the authors' algorithm cell by cell, from draws that belong to the cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from trainables.genes.binning import quantile_bins, tie_draws
from trainables.genes.kernels import COUNTS


def as_the_authors(row, n_bins, draws):
    """One dense cell as scgpt/preprocess.py has it: quantiles, then `_digitize`."""
    bins = np.zeros(len(row), dtype=int)
    there = row.nonzero()[0]
    if len(there):
        edges = np.quantile(row[there], np.linspace(0, 1, n_bins - 1))
        left, right = np.digitize(row[there], edges), np.digitize(row[there], edges, right=True)
        bins[there] = np.ceil(draws * (right - left) + left)
    return bins


counts = st.integers(0, 6) | st.integers(0, 3000)
counts |= st.sampled_from([COUNTS, COUNTS + 1, 2.5])  # counted, and sorted for one's sake
matrices = st.lists(st.lists(counts, min_size=12, max_size=12), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(matrices, st.integers(3, 60), st.booleans(), st.integers(0, 2**31))
def test_every_cell_is_binned_as_the_authors_bin_it(values, n_bins, logged, seed):
    dense = np.array(values, dtype=np.float32)
    x = csr_matrix(np.log1p(dense) if logged else dense)
    draws = np.random.default_rng(seed).random(x.nnz)
    ours = csr_matrix((quantile_bins(x, n_bins, draws), x.indices, x.indptr), x.shape).toarray()
    parts = np.split(draws, x.indptr[1:-1])
    theirs = [
        as_the_authors(row, n_bins, part) for row, part in zip(x.toarray(), parts, strict=True)
    ]
    np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None, max_examples=40)
@given(matrices)
def test_without_draws_a_tie_goes_to_its_highest_bin(values):
    x = csr_matrix(np.array(values, dtype=np.float32))
    highest = quantile_bins(x, 10, np.zeros(x.nnz))
    np.testing.assert_array_equal(quantile_bins(x, 10), highest)
    equal = [
        len(set(zip(c.data, quantile_bins(c, 10), strict=True))) == len(set(c.data)) for c in x
    ]
    assert all(equal)  # equal values, equal bins


def test_counts_and_their_logarithms_have_the_same_bins():
    rng = np.random.default_rng(0)
    x = csr_matrix(rng.negative_binomial(1, 0.2, (40, 300)).astype(np.float32))
    logged = x.copy()
    logged.data = np.log1p(logged.data / 7).astype(np.float32)
    draws = rng.random(x.nnz)
    np.testing.assert_array_equal(quantile_bins(x, 51, draws), quantile_bins(logged, 51, draws))


def test_a_cell_meets_the_same_draws_whatever_its_neighbours():
    x = csr_matrix(np.random.default_rng(0).poisson(1, (6, 50)).astype(np.float32))
    names = np.array([f"cell{i}" for i in range(6)])
    order = np.array([4, 0, 2])
    among_all = np.split(tie_draws(x, names, 3), x.indptr[1:-1])
    among_few = tie_draws(x[order], names[order], 3)
    np.testing.assert_array_equal(among_few, np.concatenate([among_all[i] for i in order]))
    assert not np.array_equal(tie_draws(x, names, 3), tie_draws(x, names, 4))


def test_threads_share_the_cells_and_change_nothing():
    x = csr_matrix(np.random.default_rng(0).poisson(1, (31, 50)).astype(np.float32))
    names = [f"cell{i}" for i in range(31)]
    draws = tie_draws(x, names, 0)
    for threads in (2, 7, 40):
        np.testing.assert_array_equal(tie_draws(x, names, 0, threads=threads), draws)
        alone, shared = quantile_bins(x, 51, draws), quantile_bins(x, 51, draws, threads=threads)
        np.testing.assert_array_equal(alone, shared)


def test_values_that_float32_rounds_together_are_told_apart():
    rng = np.random.default_rng(0)
    values = 1 + 1e-10 * rng.permutation(400)
    values[3] = 1e20
    x = csr_matrix(values[None])
    np.testing.assert_array_equal(quantile_bins(x, 51), as_the_authors(values, 51, np.zeros(400)))


def test_draws_are_uniform():
    x = csr_matrix(np.ones((200, 500), dtype=np.float32))
    draws = tie_draws(x, [f"cell{i}" for i in range(200)], 0)
    assert draws.min() >= 0
    assert draws.max() < 1
    observed = np.histogram(draws, 50, (0, 1))[0]
    assert ((observed - 2000) ** 2 / 2000).sum() < 85.4  # chi2, 49 degrees: one in a thousand
    columns = draws.reshape(200, 500)
    assert abs(np.corrcoef(columns[:, 0], columns[:, 1])[0, 1]) < 0.25
    assert abs(np.corrcoef(columns[0], columns[1])[0, 1]) < 0.15


def test_what_is_no_expression_is_refused():
    with pytest.raises(ValueError, match="not all above zero"):
        quantile_bins(csr_matrix([[-1.0, 2]]))
    with pytest.raises(ValueError, match="not all above zero"):
        quantile_bins(csr_matrix([[np.nan, 2]]))
    with pytest.raises(ValueError, match="at least 3"):
        quantile_bins(csr_matrix([[1.0, 2]]), 2)
    with pytest.raises(ValueError, match="3 draws for 2"):
        quantile_bins(csr_matrix([[1.0, 2]]), 5, np.zeros(3))


def test_stored_zeros_and_empty_cells_are_bin_zero():
    x = csr_matrix((np.array([0.0, 3, 2]), np.array([0, 1, 2]), np.array([0, 3, 3])), (2, 3))
    assert quantile_bins(x, 5).tolist() == [0, 4, 1]
