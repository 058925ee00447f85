"""A linear head as networks' heads are trained: cross-entropy, Adam, mini-batches, some epochs.

Step by step what torch makes of `nn.Linear`, `cross_entropy` and `optim.Adam` in float32, given the
same initial weights and the same order of cells. There, a step of a head is a thousandth arithmetic
and the rest Python; here an epoch is one call of compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from numba import njit
from numpy import float32
from threadpoolctl import ThreadpoolController

from trainables.heads import Head, standardised

BETAS, EPS = (0.9, 0.999), 1e-8
"""torch's own."""
FAST = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be taken in any order, but a loss that is no number stays none."""
NOTHING = float32(1e-16)
"""A slope below is nothing beside `EPS`. Left to fade to where float32 ends, it would make all
arithmetic up to a hundred times slower: that is where heads that tell all cells apart end up."""


def fitted(
    x: np.ndarray,
    labels: np.ndarray,
    start: np.ndarray,
    orders: Iterable[np.ndarray],
    lr: float = 1e-3,
    batch_size: int = 32,
    weight_decay: float = 0.0,
    tell: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Head:
    """The head of an embedding (cells x dimensions) and each cell's class after the last epoch.

    `start` holds the weights of standardised coordinates to begin with, classes x (dimensions + 1),
    the intercepts last, and `orders` the cells' order in each epoch; what is left of an epoch makes
    a smaller batch. `weight_decay` times all weights is added to the gradient (an L2 penalty, not
    AdamW's). `tell` hears each epoch's number, from 1, and its mean loss a cell, without penalty.

    Raises ValueError when the loss is no longer a number.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    z, mean, scale = standardised(x, spread)
    weights = np.concatenate([start[:, :-1].ravel(), start[:, -1]]).astype(float32)
    moments, steps = np.zeros((2, len(weights)), dtype=float32), 0
    batch_size = min(batch_size, len(z))
    how = batch_size, lr, float32(weight_decay)
    with pools().limit(limits=1, user_api="blas"):  # to share out so small a product takes longer
        for epoch, order in enumerate(orders, 1):
            loss = one_epoch(z, codes, order, weights, moments, steps, *how) / len(order)
            if not math.isfinite(loss):
                raise ValueError(
                    f"head: the loss is {loss} in epoch {epoch}, so the training diverged; lower"
                    f" lr, which is {lr:g}, or look for values in the embedding that are no numbers"
                )
            steps += math.ceil(len(order) / batch_size)
            tell(epoch, loss)
    k, d = len(classes), z.shape[1]
    by_class = weights[: k * d].reshape(k, d).T, weights[k * d :]
    return Head.of_standardised(classes, np.vstack(by_class).astype(np.float64), mean, scale)


@cache
def pools() -> ThreadpoolController:
    """The BLAS that compiled code calls, which is scipy's."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


@njit(cache=True, nogil=True)
def spread(x):
    """Means and standard deviations of columns, to the bit as numpy has them, in a fifth of the
    time."""
    mean, variance = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for i in range(len(x)):
        for j in range(x.shape[1]):
            mean[j] += x[i, j]
    mean /= len(x)
    for i in range(len(x)):
        for j in range(x.shape[1]):
            apart = x[i, j] - mean[j]
            variance[j] += apart * apart
    return mean, np.sqrt(variance / len(x))


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def one_epoch(z, codes, order, weights, moments, steps, batch_size, lr, weight_decay):
    """Go through the cells once, in place; the sum of their losses. `steps` were taken before.

    `weights` are classes x dimensions, and behind them the intercepts; slopes are laid out alike.
    """
    d = z.shape[1]
    k = len(weights) // (d + 1)
    batch, room = np.empty((batch_size, d), float32), np.empty(k * batch_size, float32)
    slopes, loss = np.empty(len(weights), float32), 0.0
    for first in range(0, len(order), batch_size):
        cells = order[first : first + batch_size]
        x, scores = batch[: len(cells)], room[: k * len(cells)].reshape(k, len(cells))
        for i, cell in enumerate(cells):
            for j in range(d):
                x[i, j] = z[cell, j]
        np.dot(weights[: k * d].reshape(k, d), x.T, scores)
        loss += to_slopes(scores, weights[k * d :], slopes[k * d :], codes[cells])
        np.dot(scores, x, slopes[: k * d].reshape(k, d))
        steps += 1
        move(weights, slopes, moments, steps, lr, weight_decay)
    return loss


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def to_slopes(scores, intercepts, of_intercepts, truth):
    """Make scores (classes x cells) slopes of the mean cross-entropy; the sum of cross-entropies.

    Cells are what is next to each other in memory, so that inner loops are of vectors.
    """
    k, n = scores.shape
    top, total, loss = np.full(n, -np.inf, float32), np.zeros(n, float32), 0.0
    for c in range(k):
        for i in range(n):
            scores[c, i] += intercepts[c]
            top[i] = max(top[i], scores[c, i])
    for i in range(n):
        loss += top[i] - scores[truth[i], i]
    for c in range(k):
        for i in range(n):
            scores[c, i] = power(scores[c, i] - top[i])
            total[i] += scores[c, i]
    for i in range(n):
        loss += math.log(total[i])
        scores[truth[i], i] -= total[i]
        total[i] = 1 / (n * total[i])
    for c in range(k):
        for i in range(n):
            scores[c, i] *= total[i]
        of_intercepts[c] = scores[c].sum()
    return loss


@njit(cache=True, inline="always")
def power(x):
    """e to the power of x, which is at most zero, and taken for -60 (1e-26) where it is below.

    As 2 to a whole number, which is written into a float's exponent, times a series for the rest.
    """
    x = max(x, float32(-60.0))
    whole = np.floor(x * float32(1 / math.log(2)) + float32(0.5))
    rest = x - whole * float32(math.log(2))
    series = float32(1.0)
    for n in (6, 5, 4, 3, 2, 1):
        series = float32(1.0) + series * rest * float32(1 / n)
    return series * np.int32((np.int32(whole) + 127) << 23).view(float32)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def move(weights, slope, moments, step, lr, weight_decay):
    """One step of Adam, counted from 1, in place (Kingma & Ba 2015, as `torch.optim.Adam`)."""
    mean, square = moments[0], moments[1]
    of_mean, of_square = float32(1 - BETAS[0]), float32(1 - BETAS[1])
    length = float32(lr / (1 - BETAS[0] ** step))
    unbiased = float32(1 / math.sqrt(1 - BETAS[1] ** step))
    for j in range(len(weights)):
        g = slope[j] + weight_decay * weights[j]
        g = g if abs(g) > NOTHING else float32(0.0)
        m = mean[j] + of_mean * (g - mean[j])
        v = float32(BETAS[1]) * square[j] + of_square * g * g
        m = m if abs(m) > NOTHING else float32(0.0)
        v = v if v > NOTHING * NOTHING else float32(0.0)
        mean[j], square[j] = m, v
        weights[j] -= length * m / (np.sqrt(v) * unbiased + float32(EPS))
