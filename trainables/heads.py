"""The linear head of an embedding, at the optimum of its problem.

The objective is scikit-learn's `LogisticRegression` on standardised coordinates: C times the summed
cross-entropy, plus half the squared weights; intercepts are free, and two classes share one weight
a coordinate. It is strictly convex, so whoever gets to its optimum gives the same head.

Newton steps, solved by conjugate gradients (Lin, Weng & Keerthi 2008): gradients in float64,
products with the Hessian in float32. They are preconditioned by the Hessian as it would be if a
cell's uncertainty had nothing to do with where it lies, which is a Kronecker product: of classes,
anew in each step, and of coordinates, once for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ENOUGH = 1e-6
"""How far from the optimum weights may be, in the norm of the Hessian, as a share of their own."""
LOOSE = 0.1
"""How far a Newton step may miss its goal while another follows, as a share of the way."""
STEPS, PRODUCTS = 50, 200
BLOCK = 2**22
"""Numbers that are converted to float64 at a time."""


@dataclass(frozen=True)
class Head:
    """A weight a coordinate and class, as the embedding comes; the intercepts are the last row."""

    classes: np.ndarray
    weights: np.ndarray

    @classmethod
    def of_standardised(
        cls, classes: np.ndarray, weights: np.ndarray, mean: np.ndarray, scale: np.ndarray
    ) -> Head:
        """From weights of coordinates as `standardised` gives them."""
        own = weights[:-1] / scale[:, None]
        return cls(classes, np.vstack([own, weights[-1] - mean @ own]))

    def scores(self, embedding: np.ndarray) -> np.ndarray:
        """cells x classes: logarithms of probabilities, but for a constant a cell."""
        return embedding @ self.weights[:-1] + self.weights[-1]

    def predict(self, embedding: np.ndarray) -> np.ndarray:
        """The likeliest class of each cell."""
        return self.classes[self.scores(embedding).argmax(axis=1)]


def fitted(x: np.ndarray, labels: np.ndarray, C: float = 1.0) -> Head:
    """The head of an embedding (cells x dimensions) and each cell's class.

    Raises ValueError where there is but one class, or where C is not above zero.
    """
    if not C > 0:
        raise ValueError(f"a probe's C is {C}; it must be above zero")
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError("a probe needs two cell types to tell apart, and was taught one")
    z, mean, scale = standardised(x)
    # of two classes, scikit-learn's weights are the difference of these, and half as dear
    C = C if len(classes) > 2 else C / 2
    found = optimum(np.ascontiguousarray(z.T), codes, len(classes), C)
    return Head.of_standardised(classes, found, mean, scale)


def spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of columns."""
    return x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)


def standardised(
    x: np.ndarray, spread: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] = spread
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells x coordinates in float32, of mean zero and variance one; means and scales, float64.

    As `StandardScaler`: what does not vary is left as it is.
    """
    x = np.asarray(x, dtype=np.result_type(x, np.float32))
    mean, scale = spread(x)
    scale[scale <= 10 * np.finfo(np.float32).eps * np.abs(mean)] = 1.0
    z = x - mean.astype(x.dtype)
    z /= scale.astype(x.dtype)
    return z.astype(np.float32, copy=False), mean, scale


@dataclass(frozen=True)
class Axes:
    """Principal axes of standardised coordinates: a column each, and the variance along it."""

    directions: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray) -> Axes:
        """Those of coordinates x cells. They guide the way, not where it ends."""
        variance, directions = np.linalg.eigh((z @ z.T / z.shape[1]).astype(np.float64))
        return cls(directions.astype(np.float32), variance.clip(0).astype(np.float32))


def optimum(z: np.ndarray, codes: np.ndarray, k: int, C: float) -> np.ndarray:
    """Weights (dimensions + 1) x classes of coordinates x cells."""
    axes = Axes.of(z)
    weights = np.zeros((len(z) + 1, k))
    value, slope, likely = lay_of_the_land(z, codes, weights, C)
    forcing = LOOSE
    for _ in range(STEPS):
        step, slope_along = newton_step(z, slope, likely, C, axes, forcing)
        length = 1.0
        while True:
            ahead = lay_of_the_land(z, codes, weights + length * step, C)
            if ahead[0] <= value + 1e-4 * length * slope_along or length < 1e-6:
                break
            length /= 2
        weights += length * step
        value, slope, likely = ahead
        distance, allowed = np.sqrt(max(-slope_along, 0)), ENOUGH * (1 + np.linalg.norm(weights))
        left = distance * max(forcing, min(distance, 1.0) / 10)
        if left <= allowed:
            break
        last = float(allowed / left / 2)  # as near as this, and one more step is the last
        forcing = min(LOOSE, last if last > 1e-3 else 0.1 * distance)
    return weights


def lay_of_the_land(
    z: np.ndarray, codes: np.ndarray, weights: np.ndarray, C: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The objective, its gradient, and how likely each class is for each cell (float32)."""
    value, slope = 0.5 * (weights[:-1] ** 2).sum(), weights.copy()
    slope[-1] = 0.0
    likely = np.empty((weights.shape[1], z.shape[1]), dtype=np.float32)
    size = max(1, BLOCK // len(z))
    for first in range(0, z.shape[1], size):
        some = slice(first, first + size)
        block, truth = z[:, some].astype(np.float64), codes[some]
        scores = weights[:-1].T @ block + weights[-1][:, None]
        scores -= scores.max(axis=0)
        cells = np.arange(len(truth))
        value -= C * scores[truth, cells].sum()
        chance = np.exp(scores, out=scores)
        total = chance.sum(axis=0)
        value += C * np.log(total).sum()
        chance /= total
        likely[:, some] = chance
        chance[truth, cells] -= 1
        slope[:-1] += C * (block @ chance.T)
        slope[-1] += C * chance.sum(axis=1)
    return float(value), slope, likely


def newton_step(
    z: np.ndarray, slope: np.ndarray, likely: np.ndarray, C: float, axes: Axes, forcing: float
) -> tuple[np.ndarray, float]:
    """About minus the inverse Hessian times the slope, and the slope along it."""
    eased = preconditioner(likely, C, axes)

    def product(v: np.ndarray) -> np.ndarray:
        moved = v[:-1].T @ z
        moved += v[-1][:, None]
        moved *= likely
        moved -= likely * moved.sum(axis=0)
        moved *= np.float32(C)
        bent = np.empty_like(v)
        np.matmul(z, moved.T, out=bent[:-1])
        bent[:-1] += v[:-1]
        bent[-1] = moved.sum(axis=1)
        return bent

    size = np.abs(slope).max() or 1.0
    left = (-slope / size).astype(np.float32)
    step, eased_left = np.zeros_like(left), eased(left)
    along, merit = eased_left, float((left * eased_left).sum())
    goal = merit * forcing**2
    for _ in range(PRODUCTS):
        bent = product(along)
        length = merit / max(float((along * bent).sum()), 1e-30)
        step += length * along
        left -= length * bent
        eased_left = eased(left)
        before, merit = merit, float((left * eased_left).sum())
        if merit <= goal:
            break
        along = eased_left + (merit / before) * along
    whole = step.astype(np.float64) * size
    return whole, float((slope * whole).sum())


def preconditioner(likely: np.ndarray, C: float, axes: Axes) -> Callable[[np.ndarray], np.ndarray]:
    """The inverse of the Hessian of classes times coordinates; see the head of this file."""
    k, n = likely.shape
    spread = np.diag(likely.sum(axis=1, dtype=np.float64)) - (likely @ likely.T)
    # the same added to all classes changes nothing: no slope is along it, so let it be steep
    weight, mixed = np.linalg.eigh(C * (spread + n / k))
    weight = weight.clip(1e-7 * C * n).astype(np.float32)
    mixed = mixed.astype(np.float32)
    bend = 1 + axes.variance[:, None] * weight

    def eased(v: np.ndarray) -> np.ndarray:
        turned = v @ mixed
        turned[:-1] = axes.directions @ ((axes.directions.T @ turned[:-1]) / bend)
        turned[-1] /= weight
        return turned @ mixed.T

    return eased
