"""What every model must keep to."""

import pickle

import numpy as np
import pytest

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.protocols import Annotator, Embedder
from trainables.splits import random_split

ANNOTATORS = ["logreg", "mean", "pca+probe", "hvg+probe"]
EMBEDDERS = ["pca", "hvg", "random_embedding", "harmony"]


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.fixture
def parts(cells):
    split = random_split(cells.obs["cell_type"].astype(str).to_numpy(), 0)
    return (
        rows(cells, split.train, labels=True),
        rows(cells, split.valid, labels=True),
        rows(cells, split.test, labels=False),
    )


@pytest.mark.parametrize("name", ANNOTATORS)
class TestAnnotators:
    def test_names_every_cell_with_a_known_label(self, name, parts, ctx):
        model = catalog.model(name)
        assert isinstance(model, Annotator)
        train, valid, test = parts
        predicted = model.fit_predict(train, valid, test, ctx)
        assert len(predicted.test) == test.n_obs
        assert len(predicted.valid) == valid.n_obs
        assert set(predicted.test) <= set(train.obs["cell_type"])

    def test_gives_the_same_answer_twice_and_after_pickling(self, name, parts, ctx):
        model = catalog.model(name)
        first = model.fit_predict(*parts, ctx).test
        again = pickle.loads(pickle.dumps(model)).fit_predict(*parts, ctx).test
        assert (first == again).all()

    def test_names_a_single_cell(self, name, parts, ctx):
        train, valid, test = parts
        predicted = catalog.model(name).fit_predict(train, valid, test[:1].copy(), ctx)
        assert len(predicted.test) == 1

    def test_learns_nothing_from_the_cells_it_is_tested_on(self, name, parts, ctx):
        """Other test cells beside it must not change what is said of a cell."""
        train, valid, test = parts
        whole = catalog.model(name).fit_predict(train, valid, test, ctx).test
        fewer = test[: test.n_obs // 2].copy()
        half = catalog.model(name).fit_predict(train, valid, fewer, ctx).test
        assert (whole[: len(half)] == half).all()


@pytest.mark.parametrize("name", EMBEDDERS)
class TestEmbedders:
    def test_gives_each_cell_finite_coordinates(self, name, cells, ctx):
        model = catalog.model(name)
        assert isinstance(model, Embedder)
        embedding = model.embed(cells, ctx)
        assert embedding.shape[0] == cells.n_obs
        assert embedding.dtype == np.float32
        assert np.isfinite(embedding).all()

    def test_never_reads_a_label(self, name, cells, ctx):
        blind = rows(cells, np.arange(cells.n_obs), labels=False)
        assert "cell_type" not in blind.obs
        model = catalog.model(name)
        assert (model.embed(blind, ctx) == model.embed(cells, ctx)).all()


def test_logreg_is_the_authors_estimator(parts, ctx):
    """Equal to scikit-learn's own one-vs-rest liblinear with L1, called directly."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_validate
    from sklearn.multiclass import OneVsRestClassifier

    train, valid, test = parts
    x, y = train.X.toarray().astype(float), train.obs["cell_type"].astype(str).to_numpy()
    grid = (0.01, 0.1, 1.0)

    def direct(C):
        return OneVsRestClassifier(LogisticRegression(l1_ratio=1, C=C, solver="liblinear"))

    means = [
        cross_validate(direct(C), x, y, cv=StratifiedKFold(5), scoring=["accuracy"])[
            "test_accuracy"
        ].mean()
        for C in grid
    ]
    best = grid[int(np.argmax(means))]
    ours = catalog.model("logreg", {"Cs": grid}).fit_predict(train, valid, test, ctx)
    assert ours.notes["C"] == best
    assert (ours.test == direct(best).fit(x, y).predict(test.X.toarray())).all()


def test_real_cells_are_told_apart(ctx):
    """Blood cells: the baselines must be far above the floor, as everybody finds."""
    from trainables.trial import Trial

    found = {
        model: Trial(model, "annotation", "pbmc68k_reduced", 0, 1.0).run(ctx)["test/accuracy"]
        for model in ("mean", "pca+probe")
    }
    assert found["mean"] < 0.4
    assert found["pca+probe"] > 0.75
