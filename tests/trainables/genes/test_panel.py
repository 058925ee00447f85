"""scBERT's tokens: bins in the order of a list of genes, and which of them are hidden."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests.conftest import SHARED
from trainables.genes.masking import masked
from trainables.genes.panel import Panel, dense
from trainables.seeds import stream

FIXTURE = SHARED / "fixtures" / "scbert"


def test_tokens_are_the_authors():
    if not FIXTURE.exists():
        pytest.skip("no ../shared/fixtures/scbert beside this checkout")
    given = np.load(FIXTURE / "input.npz")
    counts = given["counts"].astype(np.float64)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    genes = [f"G{i}" for i in range(counts.shape[1])]
    cells = ad.AnnData(sparse.csr_matrix(logged), var=pd.DataFrame(index=genes))
    tokens = Panel(tuple(genes)).tokens(cells, rescale=True)
    np.testing.assert_array_equal(dense(tokens), given["tokens"])


def test_cells_are_put_in_the_order_of_the_list_and_scaled_to_its_genes():
    counts = np.array([[4, 0, 30, 6], [0, 0, 5, 5]], dtype=float)
    x = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    cells = ad.AnnData(sparse.csr_matrix(x), var=pd.DataFrame(index=["A", "B", "C", "D"]))
    panel = Panel(("D", "NEW", "A"))
    assert panel.absent(cells) == 1
    # of 10 counts on the list, 4 are 4,000 of 1e4: floor(log2(4001)) is above 5
    assert panel.tokens(cells, rescale=True).toarray().tolist() == [[5, 0, 5], [5, 0, 0]]
    few = ad.AnnData(sparse.csr_matrix(np.log1p([[6.0, 0, 9993, 1]])), var=cells.var)
    assert panel.tokens(few, rescale=False).toarray().tolist() == [[1, 0, 2]]
    assert panel.tokens(few, rescale=True).toarray().tolist() == [[5, 0, 5]]


def test_a_list_that_shares_no_gene_is_refused(blood):
    with pytest.raises(ValueError, match=r"none of the 765 genes \(such as .*list\.txt"):
        Panel(("ENSG1", "ENSG2"), "list.txt").tokens(blood, rescale=True)
    with pytest.raises(ValueError, match="names A more than once"):
        Panel(("A", "B", "A"))


def test_zeros_are_never_masked_and_a_share_of_each_cell_is():
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 6, (50, 60)) * (rng.random((50, 60)) < 0.5)
    tokens = sparse.csr_matrix(bins.astype(np.int8))
    some = masked(tokens, stream(0, "mask"))
    shown, (row, column) = some.shown(), some.places(some.hidden)
    asked = np.bincount(some.places(some.chosen)[0], minlength=50)
    np.testing.assert_array_equal(asked, np.ceil(np.diff(tokens.indptr) * 0.15))
    assert (shown[row, column] == 6).all()
    assert (shown == 6).sum() == some.hidden.sum() > 0
    assert (bins[row, column] > 0).all()
    rest = shown.copy()
    rest[row, column] = bins[row, column]
    np.testing.assert_array_equal(rest[:, :-1], bins)
    assert not rest[:, -1].any()
    assert 0.8 < some.hidden.sum() / some.chosen.sum() < 0.97  # nine in ten of them
    np.testing.assert_array_equal(
        np.concatenate([some.part(i, i + 7).shown() for i in range(0, 50, 7)]), shown
    )
