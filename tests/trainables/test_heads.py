"""Heads side by side: each at the optimum of scikit-learn's objective, whatever is beside it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables import catalog, heads
from trainables.cells import open_cells, prepare, rows
from trainables.heads import Problem
from trainables.models.cached import MODEL as Cached
from trainables.models.probe import MODEL as Probe
from trainables.protocols import Card
from trainables.splits import random_split
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


def standardised(head, x):
    """A head's weights of standardised coordinates."""
    return head.weights[:-1] * x.std(axis=0, dtype=np.float64)[:, None]


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
    (head,) = heads.heads(x, [Problem(np.arange(90), labels, C)])
    theirs = by_scikit_learn(x, labels, C)
    assert (head.classes == theirs.classes_).all()
    scores = centred(head.scores(x.astype(np.float64)))
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert np.abs(chances - theirs.predict_proba(x.astype(np.float64))).max() < 2e-5


@settings(max_examples=10, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 50), min_size=2, max_size=4, unique=True),
    fractions=st.lists(st.sampled_from([0.1, 0.25, 0.5, 1.0]), min_size=1, max_size=3, unique=True),
    C=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_side_by_side_is_one_by_one(seeds, fractions, C):
    x, labels = blobs()
    taught = [random_split(labels, s, fraction=f).train for s in seeds for f in fractions]
    problems = [Problem(some, labels[some], C) for some in taught]
    together = heads.heads(x, problems, threads=2)
    for problem, head in zip(problems, together, strict=True):
        (alone,) = heads.heads(
            x[problem.rows], [replace(problem, rows=np.arange(len(problem.rows)))]
        )
        seen = x[problem.rows]
        a, b = standardised(head, seen), standardised(alone, seen)
        assert np.abs(a - b).max() < 1e-6 * (1 + np.abs(b).max())
        assert (head.predict(x) == alone.predict(x)).all()


def test_degenerate_problems_have_an_optimum_too():
    x, labels = blobs(n=60, d=6, k=4)
    flat = np.hstack([x, np.full((60, 1), 7.0, np.float32), x[:, :1]])  # one constant, one twice
    apart = np.flatnonzero(np.isin(labels, ["a", "d"]))
    few = np.array([np.flatnonzero(labels == name)[0] for name in "bcd"])  # a class is missing
    problems = [Problem(rows, labels[rows], 1e4) for rows in (np.arange(60), apart, few)]
    for problem, head in zip(problems, heads.heads(flat, problems), strict=True):
        assert set(head.classes) == set(problem.labels)
        assert np.isfinite(head.weights).all()
        theirs = by_scikit_learn(flat[problem.rows], problem.labels, 1e4)
        assert (head.predict(flat[problem.rows]) == theirs.predict(flat[problem.rows])).all()


def test_nothing_to_tell_apart_is_refused():
    x, labels = blobs()
    only = np.flatnonzero(labels == "e")
    with pytest.raises(ValueError, match="two cell types to tell apart, and was taught one"):
        heads.heads(x, [Problem(only, labels[only])])
    with pytest.raises(ValueError, match="C is 0; it must be above zero"):
        heads.heads(x, [Problem(np.arange(len(x)), labels, 0)])


def test_what_was_solved_ahead_is_given_once_and_only_to_who_asks_for_it(monkeypatch):
    x, labels = blobs()
    mine, other = np.arange(0, 240, 2), np.arange(1, 240, 2)
    heads.solve_ahead(x, [Problem(some, labels[some], 1.0) for some in (mine, other)])
    alone = heads.heads(x[mine], [Problem(np.arange(120), labels[mine])])[0]
    monkeypatch.setattr(heads, "heads", lambda *_: ["solved anew"])
    assert heads.solved(x[mine], labels[mine], 2.0) == "solved anew"
    shuffled = np.roll(labels[mine], 1)
    assert heads.solved(x[mine], shuffled, 1.0) == "solved anew"
    found = heads.solved(x[mine], labels[mine], 1.0)
    assert np.allclose(found.weights, alone.weights, rtol=1e-5, atol=1e-6)
    assert heads.solved(x[mine], labels[mine], 1.0) == "solved anew"


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
    heads.AHEAD.clear()
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


def test_trials_solved_ahead_say_what_they_say_alone(cells, ctx):
    trials = [(seed, f, C) for seed in (0, 1, 2) for f in (0.3, 1.0) for C in (0.1, 5.0)]
    saved = []

    def run(seed, fraction, C):
        here = replace(ctx, seed=seed, save=lambda name, table: saved.append(table))
        return Annotation(fraction=fraction)(Probe(Cached(Frozen()), C), cells, here)

    alone = [run(*trial) for trial in trials]
    said, saved[:] = list(saved), []
    taught = [
        (Probe(Cached(Frozen()), C), Annotation(fraction=f).split(cells, seed, "logreg").train)
        for seed, f, C in trials
    ]
    taught[0][0].solve_ahead(cells, taught, ctx)
    assert len(heads.AHEAD) == len(trials)
    assert [run(*trial) for trial in trials] == alone
    assert not heads.AHEAD
    assert all(a.equals(b) for a, b in zip(said, saved, strict=True))


def test_nothing_is_solved_ahead_of_an_embedding_that_has_yet_to_be_made(cells, ctx):
    probe = Probe(Cached(Frozen()))
    for model in (probe, Probe(Frozen()), catalog.model("pca+cached+probe")):
        model.solve_ahead(cells, [(model, np.arange(100)), (model, np.arange(90))], ctx)
        assert not heads.AHEAD
    assert not PASSES


def test_cells_that_are_not_the_stores_are_embedded_as_they_are(cells, ctx):
    whole = rows(cells, np.arange(cells.n_obs), labels=False)
    some = whole[:, ::-1].copy()[:20].copy()
    assert np.allclose(Cached(Frozen()).embed(some, ctx), Frozen().embed(some, ctx))
    assert PASSES == [20, 20]
