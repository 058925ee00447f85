"""One-vs-rest linear classifiers, each class and each part of the cells solved side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

Ready = Callable[[Any], Any]
"""Cells x genes CSR to what a solver wants of it, made once for all classes."""
Solve = Callable[[Any, np.ndarray, Sequence[float]], tuple[np.ndarray, np.ndarray]]
"""That, +-1 a cell, and ascending Cs to weights (len(Cs) x genes + 1) and relative gaps."""


@dataclass(frozen=True)
class Linear:
    """One weight a gene and an intercept for each class; of two classes, the second alone."""

    classes: np.ndarray
    weights: np.ndarray
    """Problems x (genes + 1), the intercept last."""
    C: float
    gap: float
    """The largest proven relative distance of an objective from its optimum; NaN if unknown."""

    def save(self, file: Path) -> None:
        """Keep it as `.npz`."""
        np.savez(file, **vars(self))

    @classmethod
    def load(cls, file: Path) -> Linear:
        """What `save` kept."""
        with np.load(file) as kept:
            return cls(kept["classes"], kept["weights"], float(kept["C"]), float(kept["gap"]))

    def predict(self, x: Any) -> np.ndarray:
        """A class a cell; of equal scores the first class wins, as in LogisticRegression."""
        scores = x @ self.weights[:, :-1].T + self.weights[:, -1]
        if len(self.classes) == 1:
            return np.repeat(self.classes, x.shape[0])
        if len(self.classes) == 2:
            return self.classes[(scores[:, 0] > 0).astype(int)]
        return self.classes[scores.argmax(axis=1)]


@dataclass(frozen=True)
class Problems:
    """What one-vs-rest asks of a part of the cells."""

    genes: Any
    """The cells as the solver wants them."""
    classes: np.ndarray
    targets: np.ndarray
    """Problems x cells, +-1: each class against the rest; of two classes, the second alone."""


def posed(x: Any, y: np.ndarray, ready: Ready) -> Problems:
    """The problems of cells x genes, CSR, and their labels."""
    classes = np.unique(y)
    asked = classes if len(classes) > 2 else classes[1:]
    signs = np.where(y[None, :] == asked[:, None], 1.0, -1.0)
    return Problems(ready(x), classes, signs)


def one_vs_rest(
    parts: Sequence[tuple[Any, np.ndarray]],
    Cs: Sequence[float],
    ready: Ready,
    solve: Solve,
    threads: int = 1,
) -> list[list[Linear]]:
    """For each (cells x genes CSR, labels) of `parts`, one-vs-rest at each of the ascending `Cs`.

    Classes and parts are spread over `threads`; their number does not change the answer.
    """
    with pooled(threads) as pool:
        problems = list(pool.map(lambda part: posed(part[0], part[1], ready), parts))
        jobs = [(part.genes, target) for part in problems for target in part.targets]
        solved = list(pool.map(lambda job: solve(job[0], job[1], Cs), jobs))
    paths = []
    for part, (x, _) in zip(problems, parts, strict=True):
        n = len(part.targets)
        mine, solved = solved[:n], solved[n:]
        weights = np.array([w for w, _ in mine]).reshape(n, len(Cs), x.shape[1] + 1)
        gaps = np.array([gap for _, gap in mine]).reshape(n, len(Cs))
        paths.append(
            [
                Linear(part.classes, weights[:, i], C, gaps[:, i].max(initial=0))
                for i, C in enumerate(Cs)
            ]
        )
    return paths


@contextmanager
def pooled(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads of ours alone: those of BLAS on top would wait for each other at great length."""
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        yield pool


def with_ones(x: Any) -> Any:
    """Genes x cells, CSR, with the intercept's row of ones below, in the type of `x`."""
    from scipy import sparse

    ones = sparse.csr_matrix(np.ones((1, x.shape[0]), dtype=x.dtype))
    return sparse.vstack([sparse.csr_matrix(x).T, ones], format="csr")
