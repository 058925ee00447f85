"""Every model keeps to what tasks rely on: one class a model, and no model without one."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from tests.trainables import tiny_checkouts, tiny_scimilarity
from trainables import catalog, conformance
from trainables.conformance import ModelConformance
from trainables.datasets.toy import Toy
from trainables.protocols import Card, Predictions

SMALL_SCGPT = {"weights": "none", "layers": 1, "width": 16, "heads": 2, "hidden": 16, "epochs": 1}


class TestLogReg(ModelConformance):
    name = "logreg"
    params = {"Cs": (0.1, 1.0)}


class TestOptimum(ModelConformance):
    name = "logreg"
    params = {"C": 0.1, "solver": "optimum"}


class TestMean(ModelConformance):
    name = "mean"


class TestShuffledLabels(ModelConformance):
    name = "shuffled_labels"
    ordered = "labels are dealt out in the order of the cells"


class TestHVG(ModelConformance):
    name = "hvg"
    params = {"n_top_genes": 40}


class TestPCA(ModelConformance):
    name = "pca"


class TestHarmony(ModelConformance):
    name = "harmony"
    params = {"n_components": 10, "rounds": 2}
    ordered = "cells are clustered a share at a time, drawn by their place"


class TestRandomEmbedding(ModelConformance):
    name = "random_embedding"
    ordered = "noise goes by the row"


class TestBatchesApart(ModelConformance):
    name = "batches_apart"
    ordered = "noise goes by the row"


class TestSCVI(ModelConformance):
    name = "scvi"
    params = {"max_epochs": 2, "n_latent": 5}
    requires = ("scvi",)
    ordered = "minibatches are drawn by the row"
    tolerance = 1e-3


class TestScGPT(ModelConformance):
    name = "scgpt"
    params = {**SMALL_SCGPT, "lr": 1e-3}
    ordered = "it learns in the order of the cells"


class TestScGPTGivenFewerGenes(ModelConformance):
    name = "scgpt"
    params = {**SMALL_SCGPT, "n_hvg": 60, "decoder": "gepc", "freeze": "embeddings"}
    ordered = "it learns in the order of the cells"


class TestMostCommonBin(ModelConformance):
    name = "most_common_bin"


class TestMostCommonBinOverall(ModelConformance):
    name = "most_common_bin_overall"


class TestScBERT(ModelConformance):
    name = "scbert"
    params = {
        **{"weights": "none", "gene2vec": False, "epochs": 1, "warmup": 0, "batch": 64},
        **{"dim": 8, "depth": 2, "heads": 2, "dim_head": 4, "trained": "all", "n_genes": 30},
    }
    tolerance = 1e-3

    def dataset(self):
        return Toy(n_cells=90, n_genes=60, name="few cells")


class TestProbe(ModelConformance):
    name = "pca+probe"


class TestHead(ModelConformance):
    name = "pca+head"
    params = {"epochs": 2}
    ordered = "minibatches are drawn by the row"


class TestKNN(ModelConformance):
    name = "hvg+knn"


class TestGeneformer(ModelConformance):
    name = "geneformer"
    params = {
        **{"weights": "none", "layers": 1, "width": 16, "heads": 2, "hidden": 16},
        **{"max_length": 64, "epochs": 1, "lr": 1e-3, "warmup": 2},
    }
    ordered = "minibatches are drawn by the row"


class TestSCimilarity(ModelConformance):
    name = "scimilarity"

    @pytest.fixture(autouse=True, scope="class")
    def weights(self, request, tmp_path_factory):
        genes = catalog.dataset("toy").read().var_names
        folder, _ = tiny_scimilarity.write(tmp_path_factory.mktemp("scimilarity"), list(genes))
        request.cls.params = {"weights": str(folder), "least_genes": 1}


class TestScFoundation(ModelConformance):
    name = "scfoundation"

    @pytest.fixture(autouse=True, scope="class")
    def weights(self, request, tmp_path_factory):
        genes = catalog.dataset("toy").read().var_names
        root = tmp_path_factory.mktemp("scfoundation")
        request.cls.params = tiny_checkouts.scfoundation(root, genes)


class TestGeneCompass(ModelConformance):
    name = "genecompass"

    @pytest.fixture(autouse=True, scope="class")
    def weights(self, request, tmp_path_factory):
        genes = catalog.dataset("toy").read().var_names
        root = tmp_path_factory.mktemp("genecompass")
        request.cls.params = tiny_checkouts.genecompass(root, genes)


class TestPCABins(ModelConformance):
    name = "pca_bins"
    params = {"n_top_genes": 60, "n_components": 5}


class TestAverage(ModelConformance):
    name = "pca_bins+average"
    params = {"embedder.n_top_genes": 60, "embedder.n_components": 5}


class TestCached(ModelConformance):
    name = "pca+cached+probe"


class TestCachedEmbedder(ModelConformance):
    name = "pca+cached"


def test_every_model_has_a_class():
    """Ceilings are shown labels, and keep to tests of their own; see test_controls."""
    tried = {
        part
        for each in globals().values()
        if isinstance(each, type) and issubclass(each, ModelConformance) and "name" in vars(each)
        for part in each.name.split("+")
    }
    known = {m for m in catalog.names("models") if catalog.card(m).control != "ceiling"}
    assert not known - tried, "give it a class above: class TestIt(ModelConformance): name = ..."


@dataclass(frozen=True)
class Careless:
    """Breaks one rule at a time."""

    rule: str
    remembers: list = field(default_factory=list, compare=False)
    card: ClassVar = Card(summary="careless")

    def fit_predict(self, train, valid, test, ctx):
        if self.rule != "tells nothing":
            ctx.saw("fit", train.obs_names)
        names = np.sort(train.obs["cell_type"].astype(str).unique())
        dice = np.random.default_rng(None if self.rule == "no seed" else 0)
        codes = np.zeros(test.n_obs, int)
        if self.rule == "reads labels" and "cell_type" in test.obs:
            codes += 1
        if self.rule == "no seed":
            codes = dice.integers(len(names), size=test.n_obs)
        if self.rule == "transductive":
            codes += test.n_obs % 2
        if self.rule == "by the row":
            codes[::2] = 1
        if self.rule == "global dice":
            np.random.seed(0)  # noqa: NPY002
        if self.rule == "invents":
            names = np.append(["a type of its own"], names)
        if self.rule == "writes":
            train.uns["mine"] = 1
        if self.rule == "a library's words" and test.n_vars == 1:
            np.linalg.inv(np.zeros((2, 3)))
        return Predictions(test=names[codes], valid=np.full(valid.n_obs, names[0]))


@pytest.mark.parametrize(
    ("rule", "test", "sentence"),
    [
        ("tells nothing", "it_says_what_it_fits_on_and_fits_on_nothing_else", "without telling"),
        ("reads labels", "labels_of_the_cells_asked_about_change_nothing", "shuffled test labels"),
        ("no seed", "a_seed_has_one_answer_here_and_in_another_process", "asked again"),
        ("transductive", "other_test_cells_change_nothing", "fewer test cells"),
        ("by the row", "the_order_of_cells_is_none_of_its_business", "cells backwards"),
        ("global dice", "input_and_global_randomness_are_left_as_they_were", "global randomness"),
        ("invents", "every_cell_gets_an_answer", "labels that nobody taught"),
    ],
)
def test_a_careless_model_is_told_what_it_broke(rule, test, sentence, monkeypatch):
    class Suite(ModelConformance):
        name = "careless"
        params = {"rule": rule}

    monkeypatch.setattr(conformance.catalog, "model", lambda name, params: Careless(**params))
    suite = Suite()
    suite.setup_method()
    with pytest.raises(AssertionError, match=sentence):
        getattr(suite, f"test_{test}")()
    suite.teardown_method()
