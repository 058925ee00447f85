"""L1 logistic regression along a path of C: each solution starts from the one before it.

The objective is liblinear's (`solve_l1r_lr`): |w|_1 + C sum(log(1 + exp(-y w.x))), the intercept
being the weight of a column of ones and penalised as such. Newton steps on a working set of genes
(Yuan, Ho & Lin 2012, newGLMNET; Johnson & Guestrin 2015, Blitz) go on until a duality gap proves
how near the optimum is. liblinear's own stopping rule (`trainables.newglmnet`) loosens as C grows:
from C = 10 on it leaves a zheng_facs_pbmc fit further and further above it, by C = 1e4 three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from trainables.linear import with_ones

GROWTH = 0.25
"""New genes in a working set, as a share of those that already have a weight."""
NEW_GENES = 32
"""The same, at least."""
LIGHT = 1e-3
"""Cells of less curvature than this share of the largest enter a Newton step on its diagonal only:
they are most cells at large C, and a line search guards the step."""
ROUNDS = 300


def ready(x: Any) -> Any:
    """Genes x cells, CSR float64, with the intercept's row of ones below."""
    return with_ones(x).astype(np.float64)


def path(
    genes: Any, y: np.ndarray, Cs: Sequence[float], tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (len(Cs) x genes) of one binary problem, y being +-1, and their duality gaps.

    Each gap, over its objective, is at most `tolerance`, unless `ROUNDS` Newton steps or the
    arithmetic did not allow it.
    """
    weights, scores = np.zeros(genes.shape[0]), np.zeros(genes.shape[1])
    found, gaps, gap = [], [], np.inf
    for C in Cs:
        for _ in range(ROUNDS):
            wrong = 1 / (1 + np.exp(y * scores))
            gradient = genes @ (-C * y * wrong)
            objective = np.abs(weights).sum() + C * np.logaddexp(0, -y * scores).sum()
            gap = 1 - dual(wrong, gradient, C) / objective
            if gap <= tolerance:
                break
            if not newton(genes, y, C, weights, scores, wrong, gradient):
                break
        found.append(weights.copy())
        gaps.append(gap)
    return np.array(found), np.array(gaps)


def dual(wrong: np.ndarray, gradient: np.ndarray, C: float) -> float:
    """The dual objective at the residuals, shrunk until no gene's gradient is above one."""
    share = np.clip(wrong / max(1.0, np.abs(gradient).max()), 1e-300, 1 - 1e-16)
    return -C * float((share * np.log(share) + (1 - share) * np.log1p(-share)).sum())


def newton(
    genes: Any,
    y: np.ndarray,
    C: float,
    weights: np.ndarray,
    scores: np.ndarray,
    wrong: np.ndarray,
    gradient: np.ndarray,
) -> bool:
    """One Newton step on a working set, in place; False when the objective no longer falls."""
    work = working_set(weights, gradient)
    columns = genes[work].toarray().astype(np.float32)
    slope, old = gradient[work], weights[work]
    step = settle(curvature(columns, C * wrong * (1 - wrong)), slope, old)
    moved = columns.T.astype(np.float64) @ step
    promised = slope @ step + np.abs(old + step).sum() - np.abs(old).sum()
    before = np.abs(old).sum() + C * np.logaddexp(0, -y * scores).sum()
    for length in 0.5 ** np.arange(20):
        after = np.logaddexp(0, -y * (scores + length * moved)).sum()
        fall = np.abs(old + length * step).sum() + C * after - before
        if fall <= 0.01 * length * promised and fall < 0:
            weights[work] += length * step
            scores += length * moved
            return True
    return False


def working_set(weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The genes that have a weight, and those that most deserve one."""
    kept = np.count_nonzero(weights)
    size = min(len(weights), kept + max(NEW_GENES, int(GROWTH * kept)))
    merit = np.where(weights != 0, np.inf, np.abs(gradient) - 1)
    best = np.argpartition(-merit, size - 1)[:size]
    return np.sort(best[merit[best] > 0])


def curvature(columns: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Second derivatives among some genes (genes x cells); see `LIGHT`."""
    heavy = bend >= LIGHT * bend.max()
    half = columns[:, heavy] * np.sqrt(bend[heavy]).astype(np.float32)
    hessian = half @ half.T
    np.fill_diagonal(hessian, (columns * columns) @ bend.astype(np.float32) + 1e-9)
    return hessian


@njit(cache=True, nogil=True)
def settle(hessian, gradient, weights):
    """The step to the minimum of the quadratic model plus |w|_1, by coordinate descent."""
    slope, new, first = gradient.copy(), weights.copy(), 0.0
    for _sweep in range(1000):
        total = 0.0
        for a in range(len(new)):
            if new[a] == 0.0 and abs(slope[a]) <= 1.0:
                continue
            bend = hessian[a, a]
            pull = bend * new[a] - slope[a]
            target = np.sign(pull) * max(abs(pull) - 1.0, 0.0) / bend
            step = target - new[a]
            if step != 0.0:
                total += abs(step) * bend
                new[a] = target
                for b in range(len(new)):
                    slope[b] += step * hessian[a, b]
        first = max(first, total)
        if total <= 0.05 * first:
            break
    return new - weights
