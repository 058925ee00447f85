"""liblinear's L1 logistic regression, step by step and stopping where it stops, only quicker.

The algorithm is newGLMNET (Yuan, Ho & Lin 2012, "An improved GLMNET for L1-regularized logistic
regression"), with the constants, shrinking, stopping rules and random orders of the liblinear that
scikit-learn carries. From the same cells, C and seed it goes through the same iterates, so it also
leaves the same weights where the authors' call stops far from the optimum; sums are added up in
another order, which moves the last digits. It is quicker for holding sparse genes as columns of
single precision, for looking at every gene once for all classes, and for letting threads run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from trainables.linear import Linear, Problems, pooled, with_ones

TOLERANCE, MOST_STEPS = 1e-4, 100
"""scikit-learn's `tol` and `max_iter`, which the authors left as they are."""
ANY_ORDER = {"reassoc", "contract"}
"""Sums may be added up in any order; infinities keep their meaning."""
FILLED = 0.3
"""Of how large a share of the cells a gene is kept with its zeros: reading on is that much quicker
than looking up."""
SWEEPS, HALVINGS, STUCK, DONE = 1000, 20, 10, 99
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


def fit(problems: Problems, C: float, seed: int, threads: int = 1) -> Linear:
    """One-vs-rest at one C; how far each problem is from its optimum is not known.

    Problems are spread over `threads`; their number does not change the answer.
    """
    shares = np.array_split(problems.targets, max(1, min(threads, len(problems.targets))))
    with pooled(threads) as pool:
        solved = list(pool.map(lambda share: solve(problems.genes, share, C, seed), shares))
    return Linear(problems.classes, np.vstack(solved), C, np.nan)


def solve(genes: Columns, targets: np.ndarray, C: float, seed: int) -> np.ndarray:
    """Weights (problems x genes + 1) of binary problems on the same cells, from zero.

    `targets` (problems x cells) are +-1; `seed` is the `random_state` of `LogisticRegression`,
    which shuffles each problem alike.
    """
    own = np.random.RandomState(seed).randint(np.iinfo("i").max)
    words: Any = np.random.RandomState(own).get_state(legacy=False)
    rarer = np.minimum((targets > 0).sum(axis=1), (targets < 0).sum(axis=1))
    tolerances = TOLERANCE * np.maximum(rarer, 1) / targets.shape[1]
    return descend(*genes, targets, float(C), tolerances, words["state"]["key"])


@njit(cache=True, nogil=True)
def descend(indptr, indices, data, targets, C, tolerances, key):
    """Newton steps until a problem's violation of optimality has shrunk by its tolerance.

    The problems take their steps in turn, since all of them want the same look at every gene.
    """
    (n_problems, n_cells), n_genes = targets.shape, len(indptr) - 1
    weights, odds = np.zeros((n_problems, n_genes)), np.ones(targets.shape)  # odds: exp(w.x)
    slope, bend = np.zeros(weights.shape), np.zeros(weights.shape)
    wrong, curve = np.zeros(targets.shape), np.zeros(targets.shape)
    order = np.zeros(weights.shape, np.uint32)
    keys, key_at = np.zeros((n_problems, len(key)), np.uint32), np.full(n_problems, len(key))
    norm, first, inner = np.zeros(n_problems), np.zeros(n_problems), np.ones(n_problems)
    worst_before, stuck = np.full(n_problems, np.inf), np.zeros(n_problems, np.int64)
    for p in range(n_problems):
        order[p], keys[p] = np.arange(n_genes), key
        residuals(odds[p], targets[p], C, wrong[p], curve[p])
    going = np.arange(n_problems)
    for step in range(MOST_STEPS):
        gradients(indptr, indices, data, wrong, curve, going, slope, bend)
        for p in going:
            n_active, worst, total = look(
                weights[p], worst_before[p] / n_cells, order[p], slope[p], bend[p]
            )
            if step == 0:
                first[p] = total
            if total <= tolerances[p] * first[p] or stuck[p] >= STUCK:
                stuck[p] = DONE
                continue
            new, sweeps, changed, key_at[p] = settle(
                indptr, indices, data, curve[p], weights[p], slope[p], bend[p], order[p],
                n_active, inner[p] * first[p], keys[p], key_at[p],
            )  # fmt: skip
            stuck[p] = 0 if changed else stuck[p] + 1
            moved = scores(indptr, indices, data, new - weights[p], n_cells)
            norm[p], found = search(
                weights[p], new, slope[p], norm[p], odds[p], moved, targets[p], C
            )
            if found:
                residuals(odds[p], targets[p], C, wrong[p], curve[p])
            else:  # liblinear adds the scores up anew, and goes on with the old residuals
                odds[p] = np.exp(scores(indptr, indices, data, weights[p], n_cells))
            if sweeps == 1:
                inner[p] *= 0.25
            worst_before[p] = worst
        going = going[stuck[going] != DONE]
        if len(going) == 0:
            break
    return weights


@njit(cache=True, nogil=True)
def residuals(odds, y, C, wrong, curve):
    """First and second derivatives of the loss by each cell's score, into `wrong` and `curve`."""
    share = 1 / (1 + odds)
    wrong[:] = np.where(y < 0, C - C * share, -C * share)
    curve[:] = C * odds * share * share


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def gradients(indptr, indices, data, wrong, curve, going, slope, bend):
    """Each gene's slope and curvature without the penalty, problems x genes, for those `going`.

    Four problems at a time: a value is read once and its cell found once for all of them.
    """
    both = np.zeros((wrong.shape[1], 8))
    for begin in range(0, len(going), 4):
        four = going[np.minimum(np.arange(begin, begin + 4), len(going) - 1)]
        for lane in range(4):
            both[:, lane], both[:, lane + 4] = wrong[four[lane]], curve[four[lane]]
        p, q, r, s = four
        for j in range(len(indptr) - 1):
            down_p, down_q, down_r, down_s = 0.0, 0.0, 0.0, 0.0
            up_p, up_q, up_r, up_s = 0.0, 0.0, 0.0, 0.0
            filled = indptr[j + 1] - indptr[j] == np.uint64(len(both))
            for at in range(indptr[j], indptr[j + 1]):
                value = np.float64(data[at])
                cell = both[at - indptr[j] if filled else np.uint64(indices[at])]
                square = value * value
                down_p += value * cell[0]
                down_q += value * cell[1]
                down_r += value * cell[2]
                down_s += value * cell[3]
                up_p += square * cell[4]
                up_q += square * cell[5]
                up_r += square * cell[6]
                up_s += square * cell[7]
            slope[p, j], slope[q, j], slope[r, j], slope[s, j] = down_p, down_q, down_r, down_s
            bend[p, j], bend[q, j], bend[r, j], bend[s, j] = up_p, up_q, up_r, up_s


@njit(inline="always")
def violation(slope, weight):
    """How far a gene is from optimal, given the loss's slope along it."""
    if weight > 0:
        return abs(slope + 1)
    if weight < 0:
        return abs(slope - 1)
    return max(-(slope + 1), slope - 1, 0.0)


@njit(cache=True, nogil=True)
def look(weights, margin, order, slope, bend):
    """Genes safely at zero go to the end of `order` and rest this step."""
    bend += RIDGE
    n_active, worst, total, s = len(order), 0.0, 0.0, 0
    while s < n_active:
        j = order[s]
        off = violation(slope[j], weights[j])
        if off == 0 and weights[j] == 0 and 1 - abs(slope[j]) > margin:
            n_active -= 1
            order[s], order[n_active] = order[n_active], order[s]
            continue
        worst, total, s = max(worst, off), total + off, s + 1
    return n_active, worst, total


@njit(nogil=True, fastmath=ANY_ORDER)
def dot(start, stop, indices, data, bent):
    """A gene's values times those of its cells."""
    total = 0.0
    if stop - start == np.uint64(len(bent)):
        for cell in range(len(bent)):
            total += np.float64(data[start + np.uint64(cell)]) * bent[cell]
    else:
        for at in range(start, stop):
            total += np.float64(data[at]) * bent[indices[at]]
    return total


@njit(nogil=True, fastmath=ANY_ORDER)
def move(start, stop, indices, data, curve, step, bent):
    """How far each cell's score moved, times its curvature, after a gene's weight moved."""
    if stop - start == np.uint64(len(curve)):
        for cell in range(len(curve)):
            bent[cell] += np.float64(data[start + np.uint64(cell)]) * step * curve[cell]
    else:
        for at in range(start, stop):
            bent[indices[at]] += np.float64(data[at]) * step * curve[indices[at]]


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
