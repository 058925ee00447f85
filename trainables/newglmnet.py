"""liblinear's L1 logistic regression, step by step and stopping where it stops, only quicker.

The algorithm is newGLMNET (Yuan, Ho & Lin 2012, "An improved GLMNET for L1-regularized logistic
regression"), with the constants, shrinking, stopping rules and random orders of the liblinear that
scikit-learn carries. From the same cells, C and seed it goes through the same iterates, so it also
leaves the same weights where the authors' call stops far from the optimum; sums are added up in
another order, which moves the last digits. It is quicker for holding sparse genes as columns of
single precision, for one lookup a value instead of two, and for letting threads run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from trainables.linear import with_ones

TOLERANCE, MOST_STEPS = 1e-4, 100
"""scikit-learn's `tol` and `max_iter`, which the authors left as they are."""
ANY_ORDER = {"reassoc", "contract"}
"""Sums may be added up in any order; infinities keep their meaning."""
FILLED = 0.3
"""Of how large a share of the cells a gene is kept with its zeros: reading on is that much quicker
than looking up."""
SWEEPS, HALVINGS, STUCK = 1000, 20, 10
RIDGE, SUFFICIENT, LEAST, LONGEST = 1e-12, 0.01, 1e-12, 10.0


Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""indptr, indices and data of genes x cells, the intercept's ones last."""


def ready(x: Any) -> Columns:
    """Cells x genes, CSR, as columns; those of many cells keep their zeros, and need no lookup.

    Numbers are unsigned, since then no lookup has to ask for their sign.
    """
    genes = with_ones(x)
    kind = np.float32 if x.dtype == np.float32 else np.float64
    filled = np.diff(genes.indptr) > FILLED * x.shape[0]
    lengths = np.where(filled, x.shape[0], np.diff(genes.indptr))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
    narrow = np.uint16 if x.shape[0] <= 2**16 else np.uint32
    indices, data = np.zeros(indptr[-1], narrow), np.zeros(indptr[-1], kind)
    place(genes.indptr, genes.indices, genes.data, filled, indptr, indices, data)
    return indptr, indices, data


@njit(cache=True, nogil=True)
def place(old_indptr, old_indices, old_data, filled, indptr, indices, data):
    """Values where `indptr` has room for them."""
    for j in range(len(filled)):
        for i, at in enumerate(range(old_indptr[j], old_indptr[j + 1])):
            to = indptr[j] + np.uint64(old_indices[at] if filled[j] else i)
            indices[to], data[to] = old_indices[at], old_data[at]


def solve(
    genes: Columns, y: np.ndarray, Cs: Sequence[float], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (len(Cs) x genes + 1) of one binary problem, y being +-1, each C from zero.

    `seed` is the `random_state` of `LogisticRegression`. How far each is from its optimum is not
    known: the second array is NaN.
    """
    own = np.random.RandomState(seed).randint(np.iinfo("i").max)
    words: Any = np.random.RandomState(own).get_state(legacy=False)
    tolerance = TOLERANCE * max(min((y > 0).sum(), (y < 0).sum()), 1) / len(y)
    key = words["state"]["key"]
    found = [descend(*genes, y, float(C), tolerance, key.copy()) for C in Cs]
    return np.array(found), np.full(len(found), np.nan)


@njit(cache=True, nogil=True)
def descend(indptr, indices, data, y, C, tolerance, key):
    """Newton steps from zero until the violation of optimality has shrunk by `tolerance`."""
    n_genes, n_cells = len(indptr) - 1, len(y)
    weights, odds = np.zeros(n_genes), np.ones(n_cells)  # odds: exp(w.x)
    order, key_at = np.arange(n_genes).astype(np.uint32), 624
    slope, bend = np.zeros(n_genes), np.zeros(n_genes)
    pushed = rest(indptr, indices, data, y, C)
    wrong, curve = residuals(odds, C)
    norm, first, worst_before, inner, stuck = 0.0, 0.0, np.inf, 1.0, 0
    for step in range(MOST_STEPS):
        n_active, worst, total = look(
            indptr, indices, data, wrong, curve, pushed, weights, worst_before / n_cells,
            order, slope, bend,
        )  # fmt: skip
        if step == 0:
            first = total
        if total <= tolerance * first or stuck >= STUCK:
            break
        new, sweeps, changed, key_at = settle(
            indptr, indices, data, curve, weights, slope, bend, order, n_active, inner * first,
            key, key_at,
        )  # fmt: skip
        stuck = 0 if changed else stuck + 1
        moved = scores(indptr, indices, data, new - weights, n_cells)
        norm, found = search(weights, new, slope, norm, odds, moved, y, C)
        if found:
            wrong, curve = residuals(odds, C)
        else:  # liblinear adds the scores up anew, and goes on with the old residuals
            odds[:] = np.exp(scores(indptr, indices, data, weights, n_cells))
        if sweeps == 1:
            inner *= 0.25
        worst_before = worst
    return weights


@njit(cache=True, nogil=True)
def rest(indptr, indices, data, y, C):
    """What the cells of the other class push each gene by."""
    pushed = np.zeros(len(indptr) - 1)
    for j in range(len(pushed)):
        for at in range(indptr[j], indptr[j + 1]):
            if y[indices[at]] < 0:
                pushed[j] += C * data[at]
    return pushed


@njit(cache=True, nogil=True)
def residuals(odds, C):
    """First and second derivatives of the loss by each cell's score."""
    share = 1 / (1 + odds)
    return C * share, C * odds * share * share


@njit(inline="always")
def sums(start, stop, indices, data, wrong, curve):
    """A gene's slope and curvature, without the penalty."""
    down, bend = 0.0, 0.0
    column, cells = data[start:stop], indices[start:stop]
    if len(column) == len(curve):
        for i in range(len(curve)):
            value = np.float64(column[i])
            bend += value * value * curve[i]
            down += value * wrong[i]
    else:
        for at in range(len(column)):
            value, cell = np.float64(column[at]), cells[at]
            bend += value * value * curve[cell]
            down += value * wrong[cell]
    return down, bend


@njit(inline="always")
def violation(slope, weight):
    """How far a gene is from optimal, given the loss's slope along it."""
    if weight > 0:
        return abs(slope + 1)
    if weight < 0:
        return abs(slope - 1)
    return max(-(slope + 1), slope - 1, 0.0)


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def look(
    indptr, indices, data, wrong, curve, pushed, weights, margin, order, slope, bend
):  # fmt: skip
    """Slopes and curvatures; genes safely at zero go to the end of `order` and rest this step."""
    n_active, worst, total, s = len(order), 0.0, 0.0, 0
    while s < n_active:
        j = order[s]
        down, up = sums(indptr[j], indptr[j + 1], indices, data, wrong, curve)
        slope[j], bend[j] = pushed[j] - down, RIDGE + up
        off = violation(slope[j], weights[j])
        if off == 0 and weights[j] == 0 and 1 - abs(slope[j]) > margin:
            n_active -= 1
            order[s], order[n_active] = order[n_active], order[s]
            continue
        worst, total, s = max(worst, off), total + off, s + 1
    return n_active, worst, total


@njit(inline="always")
def dot(start, stop, indices, data, bent):
    """A gene's values times those of its cells."""
    total = 0.0
    column, cells = data[start:stop], indices[start:stop]
    if len(column) == len(bent):
        for i in range(len(bent)):
            total += np.float64(column[i]) * bent[i]
    else:
        for at in range(len(column)):
            total += np.float64(column[at]) * bent[cells[at]]
    return total


@njit(inline="always")
def move(start, stop, indices, data, curve, step, bent):
    """How far each cell's score moved, times its curvature, after a gene's weight moved."""
    column, cells = data[start:stop], indices[start:stop]
    if len(column) == len(curve):
        for i in range(len(curve)):
            bent[i] += np.float64(column[i]) * step * curve[i]
    else:
        for at in range(len(column)):
            bent[cells[at]] += np.float64(column[at]) * step * curve[cells[at]]


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def settle(
    indptr, indices, data, curve, weights, slope, bend, order, n_active, enough, key, key_at
):  # fmt: skip
    """The quadratic model's minimum by coordinate descent in a random order, with shrinking.

    Returns the new weights, the sweeps it took, whether anything moved, and where the generator
    stands.
    """
    new, bent = weights.copy(), np.zeros(len(curve))
    n_here, worst_before, changed, sweeps = n_active, np.inf, False, 0
    while sweeps < SWEEPS:
        for j in range(n_here):
            drawn, key_at = below(n_here - j, key, key_at)
            order[j], order[j + drawn] = order[j + drawn], order[j]
        worst, total, s = 0.0, 0.0, 0
        margin = worst_before / len(curve)
        while s < n_here:
            j = order[s]
            # liblinear's ridge of 1e-12 times the step is below rounding, and left out here
            here = slope[j] + dot(indptr[j], indptr[j + 1], indices, data, bent)
            off = violation(here, new[j])
            if off == 0 and new[j] == 0 and 1 - abs(here) > margin:
                n_here -= 1
                order[s], order[n_here] = order[n_here], order[s]
                continue
            s += 1
            step = newton(here, bend[j], new[j])
            if abs(step) < LEAST:
                continue
            changed = True
            worst, total = max(worst, off), total + off
            new[j] += step
            move(indptr[j], indptr[j + 1], indices, data, curve, step, bent)
        sweeps += 1
        worst_before = worst
        if total <= enough:
            if n_here == n_active:
                break
            n_here, worst_before = n_active, np.inf  # all once more, the shrunk ones too
    return new, sweeps, changed, key_at


@njit(inline="always")
def newton(slope, bend, weight):
    """The step of one weight to its minimum under the penalty, at most `LONGEST`."""
    if slope + 1 < bend * weight:
        step = -(slope + 1) / bend
    elif slope - 1 > bend * weight:
        step = -(slope - 1) / bend
    else:
        step = -weight
    return min(max(step, -LONGEST), LONGEST)


@njit(cache=True, nogil=True)
def search(weights, new, slope, norm, odds, moved, y, C):
    """Halve the step until the objective falls as promised; takes it in place where it does.

    Returns the norm of the weights and whether a step was taken.
    """
    new_norm = np.abs(new).sum()
    promised = (slope * (new - weights)).sum() + new_norm - norm
    pulled = C * moved[y < 0].sum()
    for _ in range(HALVINGS):
        factor = np.exp(moved)
        after = odds * factor
        rise = new_norm - norm + pulled - SUFFICIENT * promised
        rise += C * np.log((1 + after) / (factor + after)).sum()
        if rise <= 0:
            weights[:], odds[:] = new, after
            return new_norm, True
        new[:] = (weights + new) * 0.5
        new_norm, promised, pulled = np.abs(new).sum(), promised * 0.5, pulled * 0.5
        moved *= 0.5
    return norm, False


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def scores(indptr, indices, data, weights, n_cells):
    """w.x of every cell."""
    total, ones = np.zeros(n_cells), np.ones(n_cells)
    for j in np.flatnonzero(weights):
        move(indptr[j], indptr[j + 1], indices, data, ones, weights[j], total)
    return total


# ---- the generator that shuffles: std::mt19937, and a bounded draw from it --------------------


@njit(cache=True, nogil=True)
def below(bound, key, key_at):
    """A whole number from 0 up to `bound`, by Lemire's rejection, and where the generator is."""
    bound = np.uint64(bound)
    while True:
        word, key_at = word_of(key, key_at)
        product = np.uint64(word) * bound
        low = product & np.uint64(0xFFFFFFFF)
        if low >= bound or low >= (np.uint64(1 << 32) - bound) % bound:
            return np.int64(product >> np.uint64(32)), key_at


@njit(cache=True, nogil=True)
def word_of(key, key_at):
    """The next 32 bits of the Mersenne twister."""
    if key_at == 624:
        twist(key)
        key_at = 0
    word = key[key_at]
    word ^= word >> np.uint32(11)
    word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
    word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
    word ^= word >> np.uint32(18)
    return word, key_at + 1


@njit(cache=True, nogil=True)
def twist(key):
    """The generator's next 624 words of state."""
    for i in range(624):
        mixed = (key[i] & np.uint32(0x80000000)) | (key[(i + 1) % 624] & np.uint32(0x7FFFFFFF))
        key[i] = key[(i + 397) % 624] ^ (mixed >> np.uint32(1))
        if mixed & np.uint32(1):
            key[i] ^= np.uint32(0x9908B0DF)
