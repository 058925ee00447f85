"""The LR baseline: the authors' own numbers on request, and the optimum they stopped short of."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.multiclass import OneVsRestClassifier

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.models.logreg import (
    LogReg,
    liblinear_accuracies,
    optima,
    quick,
    raced_accuracies,
)
from trainables.splits import random_split
from trainables.userdata import UserFile

CS = (1e-2, 1e-1, 1.0, 10.0)
SETS = ["kang_ifnb", "lung_celllines_mixology", "pancreas_beta_ductal_3tech"]
SETS += ["pancreas_wang_xin_219genes", "pbmc3k", "zheng_facs_pbmc"]


def parts(cells, fraction=1.0, seed=0, genes=300):
    """Train, valid and test cells on the most often expressed genes, and the test labels."""
    often = np.argsort(-np.asarray((cells.X > 0).sum(axis=0)).ravel(), kind="stable")[:genes]
    cells = cells[:, np.sort(often)].copy()
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    split = random_split(labels, seed, fraction=fraction)
    return (
        rows(cells, split.train, labels=True),
        rows(cells, split.valid, labels=True),
        rows(cells, split.test, labels=False),
        labels[split.test],
    )


@pytest.fixture
def toy(ctx):
    return parts(open_cells(prepare(catalog.dataset("toy"), ctx.store)))


def liblinear(C, seed=0, **how):
    """The authors' call, in today's spelling."""
    base = LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=seed, **how)
    return OneVsRestClassifier(base)


def test_paper_is_the_authors_own_call_on_dense_cells(toy, ctx):
    train, valid, test, _ = toy
    x, y = train.X.toarray().astype(float), train.obs["cell_type"].astype(str).to_numpy()
    folds = StratifiedKFold(5)
    scores = [
        cross_validate(liblinear(C), x, y, cv=folds, scoring=["accuracy"])["test_accuracy"].mean()
        for C in CS
    ]
    best = CS[int(np.argmax(scores))]
    here = replace(ctx, seed=7, cpus=2)  # CPUs must not matter: liblinear draws in turn
    ours = LogReg(Cs=CS, solver="paper").fit_predict(train, valid, test, here)
    assert ours.notes["C"] == best
    theirs = liblinear(best, seed=7).fit(x, y)
    assert (ours.test == theirs.predict(test.X.toarray())).all()
    assert (ours.valid == theirs.predict(valid.X.toarray())).all()


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("C", [1e-3, 0.1, 10.0, 1e4])
def test_fast_leaves_the_weights_that_liblinear_leaves(toy, C, seed):
    """Where liblinear has converged and where it has not: the same iterates, so the same end."""
    x, y = toy[0].X, toy[0].obs["cell_type"].astype(str).to_numpy()
    ours = quick(x, y, C, seed, 2)
    theirs = liblinear(C, seed=seed).fit(x.astype(np.float64), y)
    for mine, binary in zip(ours.weights, theirs.estimators_, strict=True):
        both = np.r_[binary.coef_[0], binary.intercept_]
        np.testing.assert_allclose(mine, both, rtol=1e-6, atol=1e-7)
        assert ((mine != 0) == (both != 0)).all()


@given(st.integers(0, 2**31 - 2), st.integers(1, 2**31 - 1))
def test_the_generator_is_the_mersenne_twister(seed, bound):
    from trainables.newglmnet import below, word_of

    state = np.random.RandomState(seed).get_state(legacy=False)["state"]
    words = np.random.RandomState(seed).randint(0, 2**32, 700, dtype=np.uint32)
    key, at = state["key"].copy(), 624
    for word in words:
        mine, at = word_of(key, at)
        assert mine == word
    drawn, _ = below(bound, state["key"].copy(), 624)
    assert 0 <= drawn < bound


def own_file(folder, name):
    """A file of real cells; the scale of the one of 219 genes cannot be told from its values."""
    values = "lognorm" if name == "pancreas_wang_xin_219genes" else None
    return UserFile(folder / f"{name}.h5ad", values=values)


@pytest.mark.parametrize("name", SETS)
def test_fast_chooses_and_says_what_the_authors_call_does(name, shared_data, ctx):
    """On real cells, with the authors' eight C: the same C, accuracy within 0.2 points."""
    cells = open_cells(prepare(own_file(shared_data, name), ctx.store))
    train, valid, test, truth = parts(cells, fraction=0.2, genes=200)
    fast, paper = (
        LogReg(solver=solver).fit_predict(train, valid, test, ctx) for solver in ("fast", "paper")
    )
    assert fast.notes["C"] == paper.notes["C"]
    assert (fast.test == truth).mean() == pytest.approx((paper.test == truth).mean(), abs=0.002)
    assert (fast.test == paper.test).mean() >= 0.998


def test_a_c_is_given_up_only_when_it_could_not_win(toy):
    """The full table's winner, and the full table's values where there are values."""
    x, y = toy[0].X, toy[0].obs["cell_type"].astype(str).to_numpy()
    Cs = [1e-4, 1e-3, *CS]
    folds = list(StratifiedKFold(5).split(np.zeros(len(y)), y))
    raced = raced_accuracies(x, y, Cs, folds, 2)
    full = liblinear_accuracies(x.astype(np.float64), y, Cs, folds)
    there = ~np.isnan(raced)
    np.testing.assert_allclose(raced[there], full[there])
    assert np.nanargmax(raced.mean(axis=0)) == np.argmax(full.mean(axis=0))
    assert not there[:, 0].all(), "a C that names the commonest class everywhere is given up"


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_the_optimum_is_below_what_liblinear_reaches_and_as_near_as_it_says(toy, C):
    x, y = toy[0].X.astype(np.float64), toy[0].obs["cell_type"].astype(str).to_numpy()
    fitted = optima([(x, y)], [0.01, C], 1e-3, 1)[0][-1]
    assert fitted.gap <= 1e-3
    for name, ours in zip(fitted.classes, fitted.weights, strict=True):
        sign = np.where(y == name, 1, -1)

        def objective(weights, sign=sign):
            margins = sign * (x @ weights[:-1] + weights[-1])
            return np.abs(weights).sum() + C * np.logaddexp(0, -margins).sum()

        loose, tight = (
            LogisticRegression(l1_ratio=1, C=C, solver="liblinear", max_iter=5000, tol=tol)
            for tol in (1e-4, 1e-9)
        )
        theirs = [np.r_[m.coef_[0], m.intercept_] for m in (loose.fit(x, sign), tight.fit(x, sign))]
        assert objective(ours) <= objective(theirs[0]) * (1 + 1e-3)
        assert objective(ours) == pytest.approx(objective(theirs[1]), rel=1e-3)


@pytest.mark.parametrize("solver", ["fast", "paper", "optimum"])
def test_seeds_that_train_on_the_same_cells_choose_once(toy, ctx, solver, monkeypatch):
    train, valid, test, _ = toy
    asked = []
    choose = LogReg.choose
    monkeypatch.setattr(LogReg, "choose", lambda *a: asked.append(1) or choose(*a))
    model = LogReg(Cs=CS, solver=solver)
    said = [model.fit_predict(train, valid, test, replace(ctx, seed=s)).notes for s in range(3)]
    assert len(asked) == 1
    assert said[0] == said[1] == said[2]
    model.fit_predict(train[1:].copy(), valid, test, ctx)
    assert len(asked) == 2, "one cell fewer is another problem"


def test_threads_change_nothing(toy):
    x, y = toy[0].X, toy[0].obs["cell_type"].astype(str).to_numpy()
    solvers = (
        (lambda parts, n: optima(parts, CS, 0.01, n)),
        (lambda parts, n: [[quick(*part, C, 0, n) for C in CS] for part in parts]),
    )
    for solved in solvers:
        one, two = (solved([(x, y), (x[1:], y[1:])], n) for n in (1, 2))
        same(one, two)


def same(one, two):
    for a, b in zip(chain(*one), chain(*two), strict=True):
        assert (a.weights == b.weights).all()


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_few_classes_are_named_as_scikit_learn_names_them(toy, kept):
    x, y = toy[0].X.astype(np.float64), toy[0].obs["cell_type"].astype(str).to_numpy()
    some = np.isin(y, np.unique(y)[:kept])
    parts = [(x[some], y[some])]
    settings = {"tol": 1e-9, "max_iter": 5000}, {}
    for fitted, how in zip(
        (optima(parts, [1.0], 1e-4, 1)[0][0], quick(*parts[0], 1.0, 0, 1)),
        settings,
        strict=True,
    ):
        if kept == 1:
            assert set(fitted.predict(x)) == set(y[some])
        else:
            theirs = liblinear(1.0, **how).fit(x[some], y[some])
            assert (fitted.predict(x[some]) == theirs.predict(x[some])).all()


def test_one_cell_a_class_cannot_be_cross_validated(toy, ctx):
    train, valid, test, _ = toy
    first = np.unique(train.obs["cell_type"].astype(str), return_index=True)[1]
    with pytest.raises(ValueError, match="give logreg a C"):
        LogReg().fit_predict(train[first].copy(), valid, test, ctx)
    assert LogReg(C=1.0).fit_predict(train[first].copy(), valid, test, ctx).notes == {"C": 1.0}


def test_an_unknown_solver_is_refused():
    with pytest.raises(ValueError, match="it has: fast, paper, optimum"):
        LogReg(solver="quick")


def test_features_in_log2_are_those_of_the_authors_files(toy, ctx):
    """Zheng68K and MacParland are log2 there, and C weighs other coefficients than in base e."""
    train, valid, test, _ = toy
    said = LogReg(C=0.01, logarithm="log2", solver="paper").fit_predict(train, valid, test, ctx)
    y = train.obs["cell_type"].astype(str).to_numpy()
    direct = liblinear(0.01).fit((train.X / np.log(2)).astype(np.float64), y)
    assert (said.test == direct.predict(test.X / np.log(2))).all()
    natural = LogReg(C=0.01, solver="paper").fit_predict(train, valid, test, ctx)
    assert (natural.test == liblinear(0.01).fit(train.X.astype(float), y).predict(test.X)).all()
    assert (said.test != natural.test).any()
    with pytest.raises(ValueError, match="no logarithm 'log10'; it has: natural, log2"):
        LogReg(logarithm="log10")


@pytest.mark.parametrize("name", SETS)
def test_the_optimum_agrees_with_liblinear_run_to_convergence(name, shared_data, ctx):
    """On real cells at one C: the same names but for cells on the fence."""
    cells = open_cells(prepare(own_file(shared_data, name), ctx.store))
    train, valid, test, truth = parts(cells, fraction=0.25, genes=200)
    y = train.obs["cell_type"].astype(str).to_numpy()
    ours = LogReg(C=1.0, solver="optimum").fit_predict(train, valid, test, ctx).test
    theirs = liblinear(1.0, tol=1e-7, max_iter=5000).fit(train.X.astype(float), y).predict(test.X)
    assert (ours == theirs).mean() >= 0.99
    assert (ours == truth).mean() == pytest.approx((theirs == truth).mean(), abs=0.002)


def test_where_liblinear_stops_short_the_optimum_is_what_converged_liblinear_says(ctx):
    """At C = 1e4 the authors' call keeps thousands of weights that the optimum does not have."""
    cells = open_cells(prepare(catalog.dataset("pbmc68k_reduced"), ctx.store))
    train, valid, test, _ = parts(cells)
    x, y = train.X.astype(float), train.obs["cell_type"].astype(str).to_numpy()
    ours = LogReg(C=1e4, solver="optimum").fit_predict(train, valid, test, ctx).test
    converged = liblinear(1e4, tol=1e-9, max_iter=3000).fit(x, y)
    assert (ours == converged.predict(test.X)).mean() >= 0.97
    stopped = liblinear(1e4).fit(x, y)
    weights = [sum((e.coef_ != 0).sum() for e in m.estimators_) for m in (stopped, converged)]
    assert weights[0] > 1.5 * weights[1]
