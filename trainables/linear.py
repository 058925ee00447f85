"""One-vs-rest linear classifiers, each class and each part of the cells solved side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    """The largest proven relative distance of an objective from its optimum."""

    def save(self, file: Path) -> None:
        """Keep it as `.npz`."""
        np.savez(file, **vars(self))

    @classmethod
    def load(cls, file: Path) -> Linear:
        """What `save` kept."""
        with np.load(file) as kept:
            return cls(kept["classes"], kept["weights"], float(kept["C"]), float(kept["gap"]))

    def predict(self, x: Any) -> np.ndarray:
        """A class a cell; of equal scores the last class wins, as in OneVsRestClassifier."""
        scores = x @ self.weights[:, :-1].T + self.weights[:, -1]
        if len(self.classes) == 1:
            return np.repeat(self.classes, x.shape[0])
        if len(self.classes) == 2:
            return self.classes[(scores[:, 0] > 0).astype(int)]
        return self.classes[len(self.classes) - 1 - scores[:, ::-1].argmax(axis=1)]


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
    problems = []
    for x, y in parts:
        classes = np.unique(y)
        targets = classes if len(classes) > 2 else classes[1:]
        problems.append((classes, x.shape[1] + 1, [np.where(y == c, 1.0, -1.0) for c in targets]))
    # BLAS threads on top of ours, or of a busy machine's, wait for each other at great length
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        columns = pool.map(lambda part: ready(part[0]), parts)
        jobs = [
            (held, target)
            for held, (_, _, targets) in zip(columns, problems, strict=True)
            for target in targets
        ]
        solved = list(pool.map(lambda job: solve(job[0], job[1], Cs), jobs))
    paths = []
    for classes, n_weights, targets in problems:
        mine, solved = solved[: len(targets)], solved[len(targets) :]
        weights = np.array([w for w, _ in mine]).reshape(len(targets), len(Cs), n_weights)
        gaps = np.array([gap for _, gap in mine]).reshape(len(targets), len(Cs))
        paths.append(
            [Linear(classes, weights[:, i], C, gaps[:, i].max(initial=0)) for i, C in enumerate(Cs)]
        )
    return paths


def with_ones(x: Any) -> Any:
    """Genes x cells, CSR, with the intercept's row of ones below, in the type of `x`."""
    from scipy import sparse

    ones = sparse.csr_matrix(np.ones((1, x.shape[0]), dtype=x.dtype))
    return sparse.vstack([sparse.csr_matrix(x).T, ones], format="csr")
