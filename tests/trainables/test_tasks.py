"""Tasks: known answers, and no label where none may be."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.protocols import Predictions
from trainables.tasks.annotation import TASK as Annotation
from trainables.tasks.clustering import TASK as Clustering


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


class Oracle:
    """Knows every answer by the cell's name, as no model could."""

    def __init__(self, cells):
        self.truth = cells.obs["cell_type"].astype(str)

    def fit_predict(self, train, valid, test, ctx):
        return Predictions(
            test=self.truth[test.obs_names].to_numpy(), valid=self.truth[valid.obs_names].to_numpy()
        )

    def embed(self, cells, ctx):
        return pd.get_dummies(self.truth[cells.obs_names]).to_numpy(np.float32)


def test_a_perfect_model_scores_one(cells, ctx):
    found = Annotation()(Oracle(cells), cells, ctx)
    assert {v for k, v in found.items() if k.startswith(("test/", "valid/"))} == {1.0}


def test_a_perfect_embedding_scores_one(cells, ctx):
    found = Clustering()(Oracle(cells), cells, ctx)
    assert found["asw_label"] == pytest.approx(1)
    assert found["nmi"] == pytest.approx(1)
    assert found["ari"] == pytest.approx(1)
    assert found["avg_bio"] == pytest.approx(1)


def test_a_random_embedding_scores_near_the_floor(cells, ctx):
    class Noise:
        def embed(self, cells, ctx):
            return np.random.default_rng(0).normal(size=(cells.n_obs, 10)).astype(np.float32)

    found = Clustering()(Noise(), cells, ctx)
    assert abs(found["ari"]) < 0.1
    assert found["asw_label"] == pytest.approx(0.5, abs=0.05)


def test_the_majority_scores_its_share(cells, ctx):
    found = Annotation()(catalog.model("mean"), cells, ctx)
    shares = cells.obs["cell_type"].value_counts(normalize=True)
    assert found["test/accuracy"] == pytest.approx(shares.max(), abs=0.02)
    assert found["test/macro_recall"] == pytest.approx(1 / len(shares))


def test_models_see_no_label_of_the_test_cells(cells, ctx):
    class Peeker:
        def fit_predict(self, train, valid, test, ctx):
            assert "cell_type" in train.obs
            assert list(test.obs.columns) == ["batch"]
            assert not test.uns.get("cell_type")
            return Predictions(test=np.full(test.n_obs, "x"), valid=np.full(valid.n_obs, "x"))

    Annotation()(Peeker(), cells, ctx)


def test_what_was_predicted_is_kept_cell_by_cell(cells, ctx):
    from dataclasses import replace

    kept = {}
    found = Annotation(fraction=0.5)(
        catalog.model("logreg", {"C": 1.0}), cells, replace(ctx, save=kept.__setitem__)
    )
    predictions, confusion = kept["predictions.parquet"], kept["confusion.csv"]
    assert len(predictions) == found["n_eval"] == confusion.iloc[:, 1:].to_numpy().sum()
    right = (predictions["truth"] == predictions["predicted"]).mean()
    assert right == found["test/accuracy"]
    assert kept["per_class.csv"]["f1"].mean() == pytest.approx(found["test/macro_f1"])


def test_scores_are_scikit_learns(cells, ctx):
    from sklearn.metrics import accuracy_score, f1_score

    from trainables.metrics.classification import counted

    rng = np.random.default_rng(0)
    truth, guess = rng.choice(list("abc"), 90), rng.choice(list("ab"), 90)
    ours = counted(truth, guess).scores(np.array(list("abc")))
    assert ours["accuracy"] == accuracy_score(truth, guess)
    assert ours["macro_f1"] == pytest.approx(f1_score(truth, guess, average="macro"))


class Given:
    """Coordinates that were there before."""

    def __init__(self, coordinates):
        self.coordinates = coordinates

    def embed(self, cells, ctx):
        return self.coordinates


def test_two_embeddings_never_share_their_neighbours(cells, ctx):
    """The bug of the first preprint: a graph left by one embedding served the next."""
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    rng = np.random.default_rng(0)
    good = pd.get_dummies(pd.Series(labels)).to_numpy(float) + rng.normal(size=(len(labels), 4)) / 9
    bad = rng.normal(size=good.shape)
    of_good, of_bad = (Clustering()(Given(each), cells, ctx) for each in (good, bad))
    assert of_good["nmi"] > 0.95
    assert of_bad["nmi"] < 0.2


def test_hard_types_are_scored_apart(cells, ctx):
    """As the authors' notebook does: recall over the hard cells; F1 with predictions on all."""
    from sklearn.metrics import f1_score

    hard = ("type 1", "type 2")

    class Confused:
        def fit_predict(self, train, valid, test, ctx):
            said = np.resize(["type 0", "type 1", "type 2"], test.n_obs)
            return Predictions(test=said, valid=np.full(valid.n_obs, "type 0"))

    kept = {}
    measured = Annotation(hard=hard)(
        Confused(), cells, replace(ctx, save=lambda name, table: kept.update({name: table}))
    )
    told = kept["predictions.parquet"]
    of_them = told["truth"].isin(hard)
    right = told["truth"] == told["predicted"]
    assert measured["test/accuracy_hard"] == right[of_them].mean()
    both = f1_score(told["truth"], told["predicted"], labels=list(hard), average="macro")
    assert measured["test/f1_hard"] == pytest.approx(both)
    assert not [name for name in Annotation()(Confused(), cells, ctx) if "hard" in name]
    with pytest.raises(ValueError, match="no cell is of the hard type 'type 99'"):
        Annotation(hard=("type 99",)).check(cells)
