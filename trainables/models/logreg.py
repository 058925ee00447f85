"""L1 logistic regression on all genes: the baseline of Boiarsky et al. that had to be beaten."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from trainables.choices import check_choices
from trainables.identity import LATER
from trainables.protocols import Card, Cells, Context, Predictions

if TYPE_CHECKING:
    from trainables.linear import Linear

SOLVERS = ("fast", "paper", "optimum")
LOGARITHMS = ("natural", "log2")
CHOOSING, FITTING = 0.03, 0.01
"""How far from its optimum an objective may be while C is chosen, and in the end."""


@dataclass(frozen=True)
class LogReg:
    """One-vs-rest, L1; C fixed, or chosen from `Cs` by cross-validated accuracy.

    `solver`: "paper" is liblinear as the authors called it. "fast" is the same algorithm, step by
    step, in `trainables.newglmnet`: the same C and the same predictions, sooner. Both stop where
    liblinear stops, far from the optimum at large C, which helps on some cells (0.85 against 0.81
    on pbmc68k_reduced); "optimum" goes all the way, on the same folds and by the same rule
    (`trainables.optimum`), and says what liblinear says when run to convergence. Seeds that train
    on the same cells share one cross-validation through the store. A C is left out of
    some folds only where it could no longer win.

    The authors' C: `Cs` by default are the eight of `scGPT_baselines_LR.py` (MS, pancreas,
    myeloid); Zheng68K has C=0.1, after Cs=(1e-3, 1e-2, 1e-1, 1); MacParland's liver has
    Cs=(10, 100, 1000) with all labels, 1 to 1e4 with fewer, 10 to 1e4 with unmerged classes.
    """

    C: float | None = None
    Cs: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3, 1e4)
    folds: int = 5
    solver: str = "fast"
    logarithm: str = field(default="natural", metadata=LATER)
    """Logarithm of the features: "natural", or "log2" as in the authors' Zheng68K and MacParland.
    The penalty weighs coefficients, so the same C is 1.44 times as strong a fit there."""

    card: ClassVar = Card(
        summary="L1 logistic regression on every gene, C by 5-fold cross-validation",
        version=4,
        citation="Boiarsky et al. 2024, doi:10.1038/s42256-024-00949-w",
    )

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise ValueError(f"logreg has no solver {self.solver!r}; it has: {', '.join(SOLVERS)}")
        if self.C is not None and not self.C > 0:
            raise ValueError(f"logreg's C is {self.C}; it must be above zero")
        check_choices("logreg", self, {"logarithm": LOGARITHMS})

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Fit on `train` alone, predict the others; notes hold the chosen C.

        "optimum" also notes the proven `gap`: by what share the objective may be above its optimum.
        """
        ctx.saw("logreg fit", train.obs_names)
        y = train.obs["cell_type"].to_numpy().astype(str)
        x = self.features(train)
        if self.solver == "optimum":
            fitted: Any = self.optimum(x, y, ctx)
            notes = {"C": fitted.C, "gap": fitted.gap}
        else:
            if self.solver == "paper":
                x = x.astype(np.float64)  # liblinear's own type: convert once, not per fit
            C = self.C if self.C is not None else self.chosen(x, y, ctx)
            fitted, notes = self.fit(x, y, C, ctx), {"C": C}
        said = [fitted.predict(self.features(part)) for part in (test, valid)]
        return Predictions(test=said[0], valid=said[1], notes=notes)

    def features(self, cells: Cells) -> Any:
        """cells x genes, as `logarithm` says; natural ones are X itself, uncopied."""
        return cells.X if self.logarithm == "natural" else cells.X * np.float32(1 / np.log(2))

    def fit(self, x: Any, y: np.ndarray, C: float, ctx: Context) -> Any:
        """The classifier of "paper" or "fast" at one C, shuffling as the trial's seed says."""
        if self.solver == "paper":
            return authors_call(C, ctx.seed).fit(x, y)
        return quick(x, y, C, ctx.seed, ctx.cpus)

    def chosen(self, x: Any, y: np.ndarray, ctx: Context) -> float:
        """The C to use, from the store where these very cells were cross-validated before."""
        raced = partial(raced_accuracies, threads=ctx.cpus)
        accuracies = liblinear_accuracies if self.solver == "paper" else raced

        def make(draft: Path) -> None:
            np.save(draft / "C.npy", self.choose(x, y, accuracies))

        return float(np.load(ctx.store.get(self.recipe(x, y), make) / "C.npy"))

    def optimum(self, x: Any, y: np.ndarray, ctx: Context) -> Linear:
        """The fit of "optimum", from the store where these very cells were fitted before."""
        from trainables.linear import Linear

        def make(draft: Path) -> None:
            measure = partial(path_accuracies, threads=ctx.cpus)
            C = self.C if self.C is not None else self.choose(x, y, measure)
            upwards = [C] if self.C is not None else [c for c in sorted(self.Cs) if c <= C]
            optima([(x, y)], upwards, FITTING, ctx.cpus)[0][-1].save(draft / "fit.npz")

        return Linear.load(ctx.store.get(self.recipe(x, y), make) / "fit.npz")

    def recipe(self, x: Any, y: np.ndarray) -> dict[str, Any]:
        """What decides a choice or an optimum; the trial's seed decides neither."""
        return {
            "artifact": f"logreg {self.solver}",
            "version": self.card.version,
            "cells": content(x, y),
            "C": self.C,
            "Cs": sorted(self.Cs),
            "folds": self.folds,
        }

    def choose(self, x: Any, y: np.ndarray, accuracies: Callable[..., np.ndarray]) -> float:
        """The C of the best mean accuracy over the folds; the smallest among equals.

        A class with fewer cells than folds is simply missing from some folds, as in the paper.
        Raises ValueError where no class has two cells.
        """
        from sklearn.model_selection import StratifiedKFold

        largest = int(np.unique(y, return_counts=True)[1].max())
        if largest < 2:
            raise ValueError("no class has two cells to choose C on; give logreg a C")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")
            folds = list(StratifiedKFold(min(self.folds, largest)).split(np.zeros(len(y)), y))
        Cs = sorted(self.Cs)
        return Cs[int(np.nanargmax(accuracies(x, y, Cs, folds).mean(axis=0)))]


def liblinear_accuracies(x: Any, y: np.ndarray, Cs: list[float], folds: list[Any]) -> np.ndarray:
    """Held-out accuracy, folds x Cs, as the authors measured it.

    One after the other: liblinear shuffles by one generator a process, so that threads would draw
    from each other's, and the chosen C would change from run to run.
    """
    from sklearn.model_selection import cross_val_score

    return np.array([cross_val_score(authors_call(C, 0), x, y, cv=folds) for C in Cs]).T


def raced_accuracies(
    x: Any, y: np.ndarray, Cs: list[float], folds: list[Any], threads: int
) -> np.ndarray:
    """The same by `trainables.newglmnet`, side by side; NaN for folds that cannot matter.

    A C is given up when it would lose though it were right on every cell of its folds to come, so
    the winner is that of the full table. From the middle outwards, as the ends lose soonest.
    """
    from trainables import newglmnet
    from trainables.linear import pooled, posed

    found = np.full((len(folds), len(Cs)), np.nan)

    def can_win(i: int) -> bool:
        at_best = np.where(np.isnan(found), 1.0, found).mean(axis=0)
        done = ~np.isnan(found).any(axis=0)
        return at_best[i] >= at_best[done].max(initial=0) - 1e-9

    def measure(job: tuple[int, int]) -> None:
        i, fold = job
        if can_win(i):
            held = folds[fold][1]
            said = newglmnet.fit(problems[fold], Cs[i], seed=0).predict(x[held])
            found[fold, i] = (said == y[held]).mean()

    outwards = sorted(range(len(Cs)), key=lambda i: abs(i - len(Cs) // 2))
    with pooled(threads) as pool:
        problems = list(pool.map(lambda f: posed(x[f[0]], y[f[0]], newglmnet.ready), folds))
        list(pool.map(measure, [(i, fold) for i in outwards for fold in range(len(folds))]))
    return found


def path_accuracies(
    x: Any, y: np.ndarray, Cs: list[float], folds: list[Any], threads: int
) -> np.ndarray:
    """The same by `trainables.optimum`, every fold and class side by side."""
    paths = optima([(x[train], y[train]) for train, _ in folds], Cs, CHOOSING, threads)
    return np.array(
        [
            [(fitted.predict(x[held]) == y[held]).mean() for fitted in fits]
            for fits, (_, held) in zip(paths, folds, strict=True)
        ]
    )


def quick(x: Any, y: np.ndarray, C: float, seed: int, threads: int) -> Linear:
    """One-vs-rest by `trainables.newglmnet`."""
    from trainables import newglmnet
    from trainables.linear import posed

    return newglmnet.fit(posed(x, y, newglmnet.ready), C, seed, threads)


def optima(parts: Any, Cs: list[float], gap: float, threads: int) -> list[list[Linear]]:
    """One-vs-rest by `trainables.optimum`."""
    from trainables import optimum
    from trainables.linear import one_vs_rest

    solve = partial(optimum.path, tolerance=gap)
    return one_vs_rest(parts, Cs, optimum.ready, solve, threads)


def authors_call(C: float, seed: int) -> Any:
    """The authors' estimator in today's spelling.

    liblinear no longer takes several classes itself, so one-vs-rest is spelled out: the same
    binary problems.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(
        LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=seed)
    )


def content(x: Any, y: np.ndarray) -> str:
    """sha256 of what is fitted: expression and labels, in their order."""
    seen = hashlib.sha256(repr(x.shape).encode())
    for part in (x.indptr.astype(np.int64), x.indices.astype(np.int64), x.data):
        seen.update(np.ascontiguousarray(part).tobytes())
    seen.update("\n".join(y).encode())
    return seen.hexdigest()


MODEL = LogReg
