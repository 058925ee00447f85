"""A head is at the optimum of scikit-learn's objective, and a frozen embedder is asked once."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.heads import fitted
from trainables.models.cached import MODEL as Cached
from trainables.models.probe import MODEL as Probe
from trainables.protocols import Card
from trainables.tasks.annotation import TASK as Annotation


def blobs(n=240, d=12, k=5, seed=0):
    """Overlapping classes of unequal size, in coordinates of unequal scale that depend on each
    other."""
    rng = np.random.default_rng(seed)
    labels = np.array(list("abcdefgh"))[rng.choice(k, n, p=np.arange(1, k + 1) / sum(range(k + 1)))]
    centres = rng.normal(size=(k, d))
    x = centres[np.unique(labels, return_inverse=True)[1]] + rng.normal(size=(n, d))
    mixed = x @ rng.normal(size=(d, d)) * 10.0 ** rng.uniform(-2, 2, d) + rng.normal(size=d)
    return mixed.astype(np.float32), labels


def by_scikit_learn(x, labels, C):
    """The same head from scikit-learn, run to its end: scores of a cell, of mean zero."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = LogisticRegression(C=C, max_iter=100_000, tol=1e-10)
    return make_pipeline(StandardScaler(), linear).fit(x.astype(np.float64), labels)


def centred(scores):
    return scores - scores.mean(axis=1, keepdims=True)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 100),
    k=st.integers(2, 6),
    C=st.sampled_from([1e-2, 1.0, 30.0]),
    d=st.sampled_from([1, 3, 40]),
)
def test_a_head_is_scikit_learns_run_to_its_end(seed, k, C, d):
    x, labels = blobs(n=90, d=d, k=k, seed=seed)
    labels[: 2 * k] = np.repeat(list("abcdefgh")[:k], 2)  # none is missing
    head = fitted(x, labels, C)
    theirs = by_scikit_learn(x, labels, C)
    assert (head.classes == theirs.classes_).all()
    scores = centred(head.scores(x.astype(np.float64)))
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert np.abs(chances - theirs.predict_proba(x.astype(np.float64))).max() < 2e-5


def test_degenerate_problems_have_an_optimum_too():
    x, labels = blobs(n=60, d=6, k=4)
    flat = np.hstack([x, np.full((60, 1), 7.0, np.float32), x[:, :1]])  # one constant, one twice
    apart = np.flatnonzero(np.isin(labels, ["a", "d"]))
    few = np.array([np.flatnonzero(labels == name)[0] for name in "bcd"])  # a class is missing
    for rows_ in (np.arange(60), apart, few):
        seen, taught = flat[rows_], labels[rows_]
        head, theirs = fitted(seen, taught, 1e4), by_scikit_learn(seen, taught, 1e4)
        assert set(head.classes) == set(taught)
        assert np.isfinite(head.weights).all()
        assert (head.predict(seen) == theirs.predict(seen)).all()


def test_nothing_to_tell_apart_is_refused():
    x, labels = blobs()
    only = np.flatnonzero(labels == "e")
    with pytest.raises(ValueError, match="two cell types to tell apart, and was taught one"):
        fitted(x[only], labels[only])
    with pytest.raises(ValueError, match="C is 0; it must be above zero"):
        fitted(x, labels, 0)


# ---- a probe on a frozen embedder --------------------------------------------------------------

PASSES = []


@dataclass(frozen=True)
class Frozen:
    """A random projection that never changes."""

    card: ClassVar = Card(summary="frozen")
    frozen: ClassVar[bool] = True

    def embed(self, cells, ctx):
        assert "cell_type" not in cells.obs
        PASSES.append(cells.n_obs)
        weights = np.random.default_rng(0).normal(size=(cells.n_vars, 8))
        return (cells.X @ weights).astype(np.float32)


@pytest.fixture
def cells(ctx):
    PASSES.clear()
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


def test_one_pass_serves_all_seeds_and_fractions(cells, ctx):
    for seed in (0, 1):
        for fraction in (0.5, 1.0):
            here = replace(ctx, seed=seed)
            remembered = Annotation(fraction=fraction)(Probe(Cached(Frozen())), cells, here)
            assert len(PASSES) == 1
            assert PASSES[0] == cells.n_obs
            assert remembered == Annotation(fraction=fraction)(Probe(Frozen()), cells, here)
            del PASSES[1:]


def test_cells_that_are_not_the_stores_are_embedded_as_they_are(cells, ctx):
    whole = rows(cells, np.arange(cells.n_obs), labels=False)
    some = whole[:, ::-1].copy()[:20].copy()
    assert np.allclose(Cached(Frozen()).embed(some, ctx), Frozen().embed(some, ctx))
    assert PASSES == [20, 20]
