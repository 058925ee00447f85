"""Rank-value encoding: Geneformer's own tokens, and what must hold of any cells."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from trainables.genes.ranks import places, rank_values


def by_hand(counts, tokens, medians, most):
    """One cell after the other, as one would explain it."""
    for cell in counts:
        kept = [g for g in range(len(cell)) if cell[g] > 0 and tokens[g] >= 0 and medians[g] > 0]
        kept.sort(key=lambda g: -(cell[g] / cell.sum() * 1e4 / medians[g]))
        yield [int(tokens[g]) for g in kept][:most]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 15), st.integers(1, 20))
def test_it_is_the_order_by_hand(seed, n_cells, n_genes, most):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (n_cells, n_genes)).astype(np.float32)
    tokens = np.where(rng.random(n_genes) < 0.8, rng.permutation(n_genes) + 2, -1)
    medians = np.where(rng.random(n_genes) < 0.9, rng.gamma(2, 1, n_genes), np.nan)
    ids, lengths = rank_values(csr_matrix(counts), tokens, medians, most=most)
    for row, n, expected in zip(ids, lengths, by_hand(counts, tokens, medians, most), strict=True):
        assert row[:n].tolist() == expected
        assert not row[n:].any()


def test_scaling_a_cell_changes_nothing():
    rng = np.random.default_rng(0)
    counts = csr_matrix(rng.poisson(2.0, (20, 30)).astype(np.float32))
    tokens, medians = np.arange(30), rng.gamma(2, 1, 30)
    plain, _ = rank_values(counts, tokens, medians)
    other, _ = rank_values(counts, tokens, medians, n_counts=np.full(20, 1e5))
    np.testing.assert_array_equal(plain, other)


def test_equals_stay_in_the_order_of_the_genes():
    ids, _ = rank_values(csr_matrix(np.ones((1, 40))), np.arange(40), np.ones(40))
    assert ids[0].tolist() == list(range(40))


@pytest.mark.parametrize("spread", [1e-4, 1e-9], ids=["in float32", "in float64 alone"])
def test_genes_that_lie_close_are_told_apart(spread):
    """A far outlier takes the sort's digits, and rounding what is left."""
    rng = np.random.default_rng(0)
    medians = 1 + spread * rng.permutation(3000)
    medians[7] = 1e-20
    ids, _ = rank_values(csr_matrix(np.ones((1, 3000))), np.arange(3000), medians, most=3000)
    assert ids[0].tolist() == np.argsort(medians, kind="stable").tolist()


def test_threads_share_the_cells_and_change_nothing():
    rng = np.random.default_rng(1)
    counts = csr_matrix(rng.poisson(0.3, (37, 200)).astype(np.float32))
    medians = rng.gamma(2, 1, 200)
    for cells in (counts, counts[:1], counts[:0]):
        alone = rank_values(cells, np.arange(200), medians)
        for threads in (2, 5, 50):
            shared = rank_values(cells, np.arange(200), medians, threads=threads)
            for one, other in zip(alone, shared, strict=True):
                np.testing.assert_array_equal(one, other)


def test_tokens_are_as_small_as_the_authors_where_they_fit():
    cell = csr_matrix([[1.0, 2.0]])
    for largest, kind in ((32_767, np.int16), (32_768, np.int32)):
        ids, _ = rank_values(cell, np.array([5, largest]), np.ones(2))
        assert ids.dtype == kind
        assert ids.tolist() == [[largest, 5]]


def test_tokens_are_geneformers_own(shared_data):
    folder = shared_data.parent / "fixtures" / "geneformer"
    given_, expected = np.load(folder / "input.npz"), np.load(folder / "expected.npz")
    tokens, medians = (
        pickle.loads((folder / f"{name}_dictionary.pkl").read_bytes())
        for name in ("token", "gene_median")
    )
    genes = given_["ensembl_id"]
    ids, lengths = rank_values(
        csr_matrix(given_["counts"]),
        np.array([tokens.get(gene, -1) for gene in genes]),
        np.array([medians.get(gene, np.nan) for gene in genes]),
        n_counts=given_["n_counts"],
    )
    np.testing.assert_array_equal(ids, expected["token_ids"])
    np.testing.assert_array_equal(lengths, expected["lengths"])
    assert (expected["untruncated_lengths"] > 2048).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_places_are_means_of_where_a_token_stands(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 6, (4, 9))
    lengths = rng.integers(0, 10, 4)
    found = places(ids, lengths, 6).toarray()
    for cell in range(4):
        for token in range(6):
            at = np.flatnonzero(ids[cell, : lengths[cell]] == token) + 1
            assert found[cell, token] == (pytest.approx(at.mean()) if len(at) else 0)
