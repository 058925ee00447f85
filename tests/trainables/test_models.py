"""What single models must give; what all of them must keep to is in test_conformance."""

import numpy as np
import pytest

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.splits import random_split


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
