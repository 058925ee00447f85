"""Which cells and genes zero-shot tasks and models leave out, beside scanpy's own calls."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.tasks.clustering import TASK as Clustering
from trainables.tasks.integration import TASK as Integration
from trainables.tasks.reconstruction import TASK as GivingBack
from trainables.trial import Trial

FRESH = {"weights": "none", "layers": 1, "width": 16, "heads": 2, "hidden": 16, "max_length": 128}
RARE = [3, 50, 99]


class Thinned:
    """The toy cells; some genes are expressed by five cells, and twenty cells have four genes."""

    name, sha256, summary = "thinned", "thinned", "for tests"

    def read(self):
        cells = catalog.dataset("toy").read()
        counts = sparse.lil_matrix(cells.X)
        counts[:, RARE] = 0
        counts[:5, RARE] = 3
        counts[220:, 4:] = 0
        counts[220:, :4] = 1
        cells.X = sparse.csr_matrix(counts)
        return cells


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(Thinned(), ctx.store))


def everyone(cells):
    return rows(cells, np.arange(cells.n_obs), labels=False)


def test_variable_genes_are_those_of_scanpys_own_filters(cells, ctx):
    direct = ad.AnnData(X=sparse.csr_matrix(cells.layers["counts"]), obs=cells.obs[[]].copy())
    direct.var_names = cells.var_names
    sc.pp.filter_cells(direct, min_genes=10)
    sc.pp.filter_genes(direct, min_cells=10)
    sc.pp.normalize_total(direct, target_sum=1e4)
    sc.pp.log1p(direct)
    sc.pp.highly_variable_genes(direct, flavor="seurat", n_top_genes=40)
    chosen = Clustering(min_genes=10).chosen(cells)
    assert list(chosen.obs_names) == list(direct.obs_names)
    model = catalog.model("hvg", {"min_cells": 10, "n_top_genes": 40})
    expected = direct.X[:, direct.var["highly_variable"].to_numpy()].toarray()
    np.testing.assert_allclose(model.embed(everyone(chosen), ctx), expected, atol=1e-4)
    assert model.embed(everyone(cells), ctx).shape == (240, 40)


def test_genes_of_few_cells_are_no_tokens_of_geneformer(cells, ctx):
    rare = set(cells.var_names[RARE])
    asked = {}
    for least in (0, 10):
        model = catalog.model("geneformer", {**FRESH, "min_cells": least})
        found = model.reconstruct(everyone(cells), ctx)
        there = np.unique(found.asked.indices)
        asked[least] = set(found.genes[there])
        assert model.embed(everyone(cells), ctx).shape == (cells.n_obs, 16)
    n_cells = np.asarray((cells.layers["counts"] > 0).sum(axis=0)).ravel()
    assert rare <= asked[0]
    assert asked[0] - asked[10] == asked[0] & set(cells.var_names[n_cells < 10])


def test_a_filter_that_looks_at_other_cells_is_told_and_is_not_frozen(cells, ctx):
    seen = []
    marked = everyone(cells).copy()
    marked.obs["split"] = np.where(np.arange(cells.n_obs) % 3, "train", "test")
    listening = replace(ctx, saw=lambda step, names: seen.append((step, len(list(names)))))
    catalog.model("hvg", {"min_cells": 10}).embed(marked, listening)
    assert seen == [("hvg filter of genes", 160)]
    assert not catalog.model("geneformer", {"weights": "./x", "min_cells": 10}).frozen


@pytest.mark.parametrize("task", [Clustering, Integration, GivingBack])
def test_cells_are_left_out_for_every_model_alike(task, cells, ctx):
    found = {}
    for arm in ({"min_genes": 10}, {"without": ("batch 1",)}, {}):
        given = arm if task is not Integration or "without" not in arm else {}
        model = "pca_bins" if task is GivingBack else "pca"
        found[str(arm)] = task(**given)(catalog.model(model), cells, ctx)["n_eval"]
    batch = (cells.obs["batch"] == "batch 0").sum()
    expected = cells.n_obs if task is Integration else batch
    assert list(found.values()) == [220, expected, 240]


def test_what_is_left_out_is_said_with_the_protocol(cells):
    for task in (Clustering, Integration, GivingBack):
        assert "zero-shot, all cells" in task().described(cells)
        said = task(min_genes=10).described(cells)
        assert "all cells with 10 genes or more" in said
    assert "without batch batch 1" in Clustering(without=("batch 1",)).described(cells)


def test_what_cannot_be_left_out_is_refused(cells):
    with pytest.raises(ValueError, match="batches are: batch 0, batch 1"):
        Clustering(without=("smartseq2",)).check(cells)
    with pytest.raises(ValueError, match="no cell is left"):
        Clustering(min_genes=1000).check(cells)
    with pytest.raises(ValueError, match="at least two batches"):
        Integration(without=("batch 1",)).check(cells)
    with pytest.raises(ValueError, match="no gene is expressed in 1000 cells"):
        catalog.model("hvg", {"min_cells": 1000}).embed(cells, None)


def test_scores_in_fewer_dimensions_are_those_of_principal_components(cells, ctx):
    from sklearn.decomposition import PCA

    coordinates = np.random.default_rng(0).normal(size=(cells.n_obs, 40)) * np.arange(1, 41)

    class Given:
        def __init__(self, values):
            self.values = values

        def embed(self, cells, ctx):
            return self.values

    few = PCA(5).fit_transform(coordinates)
    asked = Clustering(n_components=5)(Given(coordinates), cells, ctx)
    direct = Clustering()(Given(few), cells, ctx)
    for name in ("asw_label", "nmi", "ari"):
        assert asked[name] == pytest.approx(direct[name], abs=1e-6)
    assert "5 principal components" in Clustering(n_components=5).described(cells)
    same = Clustering(n_components=40)(Given(coordinates), cells, ctx)
    assert same["asw_label"] == Clustering()(Given(coordinates), cells, ctx)["asw_label"]


def test_a_filter_is_part_of_a_trials_id():
    usual = Trial("hvg", "clustering", "toy", 0)
    assert Trial("hvg", "clustering", "toy", 0, task_params={"min_genes": 10}).id != usual.id
    assert Trial("hvg", "clustering", "toy", 0, model_params={"min_cells": 10}).id != usual.id
    assert Trial("hvg", "clustering", "toy", 0, task_params={"min_genes": 0}).id == usual.id
