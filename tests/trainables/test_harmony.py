"""Harmony, from the paper: batches come together, and cell types stay apart."""

import numpy as np
import pytest

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.metrics.space import Space, clustering_scores, integration_scores
from trainables.models.harmony import MODEL as Harmony
from trainables.models.pca import MODEL as PCA


def shifted_types(n=900, dims=10, seed=0):
    """Three types in two batches; the second batch is moved as far as types lie apart."""
    rng = np.random.default_rng(seed)
    label, batch = rng.integers(3, size=n), rng.integers(2, size=n)
    centres = rng.normal(size=(3, dims)) * 3
    points = centres[label] + rng.normal(size=(n, dims)) + (batch * 1.5)[:, None]
    return (points - points.mean(0)).astype(np.float32), label.astype(str), batch


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


def test_batches_come_together_and_types_stay_apart():
    points, labels, batch = shifted_types()
    after = Harmony().shifted(points, batch, seed=0)
    words = batch.astype(str)
    mixed = integration_scores(Space(after, labels, words), "scib")
    apart = integration_scores(Space(points, labels, words), "scib")
    assert apart["ilisi"] < 0.3
    assert mixed["ilisi"] > 0.8
    assert mixed["pcr"] < apart["pcr"] / 4
    assert clustering_scores(Space(after, labels, words), "scib", "auto", True)["nmi"] > 0.95


def test_a_correction_takes_away_the_mean_of_each_batch_in_one_cluster():
    points, _, batch = shifted_types()
    member = np.eye(2)[batch]
    one = np.ones((len(points), 1))
    kept = Harmony(ridge=1e-9).corrected(points.astype(float), one, member)
    np.testing.assert_allclose(kept[batch == 0].mean(0), kept[batch == 1].mean(0), atol=1e-5)


def test_without_batches_components_stay_as_they_are(cells, ctx):
    alone = rows(cells, np.arange(cells.n_obs), labels=False)
    del alone.obs["batch"]
    np.testing.assert_array_equal(Harmony().embed(alone, ctx), PCA().embed(alone, ctx))


def test_cells_cannot_be_held_out(cells, ctx):
    marked = rows(cells, np.arange(cells.n_obs), labels=False)
    marked.obs["split"] = np.where(np.arange(cells.n_obs) % 2, "train", "test")
    with pytest.raises(ValueError, match="cannot hold any of them out"):
        Harmony().embed(marked, ctx)


def test_real_batches_mix_as_far_as_the_authors_port_mixes_them(shared_data):
    """Beside harmonypy 0.0.10 (seed 0, its defaults) on the same thirty components."""
    import anndata as ad
    import scanpy as sc

    cells = ad.read_h5ad(shared_data / "kang_ifnb.h5ad")
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=30)
    labels, words = (cells.obs[key].astype(str).to_numpy() for key in ("cell_type", "batch"))
    _, batch = np.unique(words, return_inverse=True)
    after = Harmony().shifted(cells.obsm["X_pca"], batch, seed=0)
    found = integration_scores(Space(after, labels, words), "scib")
    theirs = {"asw_label_batch": 0.956, "graph_connectivity": 0.866, "pcr": 0.005, "ilisi": 0.627}
    for metric, value in theirs.items():
        assert found[metric] == pytest.approx(value, abs=0.03), metric
