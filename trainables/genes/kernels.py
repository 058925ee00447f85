"""The loops over cells that are compiled: sorting a cell's genes, and what is read off the order.

All in one file, because a compiled function that is kept on disk is renewed with its own file
alone. No cell's result depends on another's, so neither does it on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numba import njit

DIGIT = 8
"""Bits of a digit of the radix sort; two of them part a cell's genes nearly always."""
COUNTS = 4096
"""Whole numbers up to here are not sorted but counted."""


def side_by_side(work: Callable[[slice], None], starts: np.ndarray, threads: int) -> None:
    """Do `work` on slices of rows, of about as many stored values each, a thread a slice."""
    cuts = np.searchsorted(starts, np.linspace(0, starts[-1], max(threads, 1) + 1))
    cuts[0], cuts[-1] = 0, len(starts) - 1
    slices = [slice(first, last) for first, last in pairwise(cuts.tolist()) if first < last]
    if len(slices) < 2:
        for rows in slices:
            work(rows)
        return
    with ThreadPoolExecutor(len(slices)) as pool:
        list(pool.map(work, slices))


# ---- sorting ----------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def scratch(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Room for the longest row: rounded values, their places, and pairs, twice."""
    longest = 0
    for cell in range(len(starts) - 1):
        longest = max(longest, starts[cell + 1] - starts[cell])
    return (
        np.empty(longest, dtype=np.float32),
        np.empty(longest, dtype=np.uint32),
        np.empty(longest, dtype=np.uint64),
        np.empty(longest, dtype=np.uint64),
    )


@njit(cache=True, nogil=True)
def place_of(pair: np.uint64) -> np.int64:
    """A pair's lower half."""
    return np.int64(pair & np.uint64(0xFFFFFFFF))


@njit(cache=True, nogil=True)
def key_of(pair: np.uint64) -> np.int64:
    """A pair's upper half."""
    return np.int64(pair >> np.uint64(32))


@njit(cache=True, nogil=True)
def in_order(keys: np.ndarray, places: np.ndarray, other: np.ndarray, pairs: np.ndarray) -> None:
    """Fill `pairs` with key - lowest key and place, ascending; equal keys stay in order.

    A radix sort by the two highest digits of what keys differ in, then by insertion. The bits of
    float32 above zero are such keys: their order is that of the numbers.
    """
    n = len(keys)
    low, high = np.uint32(0xFFFFFFFF), np.uint32(0)
    for i in range(n):
        low, high = min(low, keys[i]), max(high, keys[i])
    shift, digits = np.uint32(0), 1 << DIGIT
    while (high - low) >> shift >= digits * digits:
        shift += np.uint32(1)
    lower, upper = np.zeros(digits, dtype=np.int64), np.zeros(digits, dtype=np.int64)
    for i in range(n):
        level = (keys[i] - low) >> shift
        lower[level & (digits - 1)] += 1
        upper[level >> DIGIT] += 1
    before_lower, before_upper = 0, 0
    for digit in range(digits):
        before_lower, lower[digit] = before_lower + lower[digit], before_lower
        before_upper, upper[digit] = before_upper + upper[digit], before_upper
    for i in range(n):
        key = keys[i] - low
        digit = (key >> shift) & (digits - 1)
        other[lower[digit]] = (np.uint64(key) << np.uint64(32)) | np.uint64(places[i])
        lower[digit] += 1
    for i in range(n):
        digit = np.int64(other[i] >> np.uint64(32 + DIGIT + shift))
        pairs[upper[digit]] = other[i]
        upper[digit] += 1
    moves = 0
    for i in range(1, n):
        one, at = pairs[i], i
        while at > 0 and pairs[at - 1] > one:
            pairs[at] = pairs[at - 1]
            at -= 1
        pairs[at] = one
        moves += i - at
        if moves > 16 * n:  # a far outlier leaves two digits too few for the others
            pairs[:n].sort()
            return


# ---- what is read off the order ---------------------------------------------------------------


@njit(cache=True, nogil=True)
def ranked(
    data: np.ndarray,
    genes: np.ndarray,
    starts: np.ndarray,
    sums: np.ndarray,
    target: float,
    tokens: np.ndarray,
    medians: np.ndarray,
    ids: np.ndarray,
    lengths: np.ndarray,
) -> None:
    """Fill a row of `ids` for each cell, and `lengths`; a gene whose median is 0 is left out.

    Sorted by value / median in float32, which takes no division; where that is too close to call,
    the very arithmetic of the authors decides, in double precision.
    """
    rounded, places, other, pairs = scratch(starts)
    inverse = np.zeros(len(medians))
    for gene in range(len(medians)):
        if medians[gene] > 0:
            inverse[gene] = 1 / medians[gene]
    bits = rounded.view(np.uint32)
    for cell in range(len(starts) - 1):
        first, n = starts[cell], 0
        for i in range(first, starts[cell + 1]):
            weight = inverse[genes[i]]
            rounded[n], places[n] = data[i] * weight, i - first
            n += (data[i] > 0) & (weight > 0)  # without a branch, which could not be foreseen
        for i in range(n):
            bits[i] = ~bits[i]
        in_order(bits[:n], places[:n], other, pairs)
        for i in range(1, n):
            one, at = pairs[i], i
            # rounding moves a key by one at most
            while at > 0 and key_of(one) - key_of(pairs[at - 1]) <= 1:
                this, that = first + place_of(one), first + place_of(pairs[at - 1])
                mine = data[this] / sums[cell] * target / medians[genes[this]]
                its = data[that] / sums[cell] * target / medians[genes[that]]
                if its > mine or (its == mine and that < this):
                    break
                pairs[at] = pairs[at - 1]
                at -= 1
            pairs[at] = one
        lengths[cell] = min(n, ids.shape[1])
        for i in range(lengths[cell]):
            ids[cell, i] = tokens[genes[first + place_of(pairs[i])]]


@njit(cache=True, nogil=True)
def binned(
    values: np.ndarray,
    starts: np.ndarray,
    shares: np.ndarray,
    draws: np.ndarray,
    bins: np.ndarray,
) -> None:
    """Fill `bins`, cell by cell; `draws` may be empty. Counts are counted, others sorted."""
    room = scratch(starts)
    ordered, edges = np.empty(len(room[0]), dtype=values.dtype), np.empty(len(shares))
    tally, limits = np.zeros(COUNTS + 1, dtype=np.int64), np.empty((2, COUNTS + 1))
    for cell in range(len(starts) - 1):
        row = slice(starts[cell], starts[cell + 1])
        of_cell, its_draws, into = values[row], draws[row], bins[row]
        most = counted(of_cell, tally)
        if most >= 0:
            bin_counts(of_cell, most, shares, its_draws, into, tally, limits, ordered, edges)
        else:
            bin_sorted(of_cell, shares, its_draws, into, room, ordered, edges)


@njit(cache=True, nogil=True)
def counted(values, tally):
    """The highest of whole numbers of at most `COUNTS`, of which `tally` says how many there are;
    -1, and an empty tally, where others are among them."""
    most = 0
    for i in range(len(values)):
        value = values[i]
        if value > COUNTS or int(value) != value:
            for other in values[:i]:
                tally[int(other)] = 0
            return -1
        tally[int(value)] += 1
        most = max(most, int(value))
    return most


@njit(cache=True, nogil=True)
def bin_counts(values, most, shares, draws, bins, tally, limits, ordered, edges):
    """A count is that of many genes, and how many says where they are in order; clears `tally`."""
    n, tally[0] = 0, 0
    for count in range(1, most + 1):
        ordered[n : n + tally[count]] = count
        n, tally[count] = n + tally[count], 0
    if n == 0:
        return
    cut(ordered[:n], shares, edges)
    below = through = 0
    for count in range(1, most + 1):
        below, through = passed(edges, count, below, through)
        limits[0, count], limits[1, count] = below, through
    for i in range(len(values)):
        count = int(values[i])
        if count > 0:
            bins[i] = bin_of(limits[0, count], limits[1, count], draws, i)


@njit(cache=True, nogil=True)
def bin_sorted(values, shares, draws, bins, room, ordered, edges):
    """Any values: they are put in order, and gone through beside the edges."""
    rounded, places, other, pairs = room
    bits, n = rounded.view(np.uint32), 0
    for i in range(len(values)):
        rounded[n], places[n] = values[i], i
        n += values[i] > 0
    if n == 0:
        return
    in_order(bits[:n], places[:n], other, pairs)
    for i in range(1, n):  # what float32 rounds together
        one, at = pairs[i], i
        while at > 0 and values[place_of(pairs[at - 1])] > values[place_of(one)]:
            pairs[at] = pairs[at - 1]
            at -= 1
        pairs[at] = one
    for i in range(n):
        ordered[i] = values[place_of(pairs[i])]
    cut(ordered[:n], shares, edges)
    below = through = 0
    for i in range(n):
        below, through = passed(edges, ordered[i], below, through)
        at = place_of(pairs[i])
        bins[at] = bin_of(below, through, draws, at)


@njit(cache=True, nogil=True)
def cut(ordered, shares, edges):
    """Fill `edges` with quantiles of ascending values, by the arithmetic of `np.quantile`, type by
    type."""
    n = len(ordered)
    for i in range(len(shares)):
        place = shares[i] * (n - 1)
        below = min(int(place), n - 1)
        low, high = ordered[below], ordered[min(below + 1, n - 1)]
        step, part = high - low, place - below
        # np.quantile comes from the nearer end, which decides whether an edge equals a value
        edges[i] = high - step * (1 - part) if part >= 0.5 else low + step * part


@njit(cache=True, nogil=True)
def passed(edges, value, below, through):
    """How many edges are below a value, and how many not above it, from those of a lower one."""
    while below < len(edges) and edges[below] < value:
        below += 1
    while through < len(edges) and edges[through] <= value:
        through += 1
    return below, through


@njit(cache=True, nogil=True)
def bin_of(below, through, draws, i):
    """The highest bin, or with draws any of those whose edges equal the value."""
    return int(np.ceil(draws[i] * (below - through) + through) if len(draws) else through)


# ---- draws ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def drawn(
    key: np.uint64, cells: np.ndarray, starts: np.ndarray, columns: np.ndarray, draws: np.ndarray
) -> None:
    """Fill `draws` from SplitMix64 counters: key, then cell, then column."""
    for cell in range(len(starts) - 1):
        of_cell = mixed(key ^ mixed(cells[cell]))
        for i in range(starts[cell], starts[cell + 1]):
            bits = mixed(of_cell + np.uint64(columns[i]) * np.uint64(0x9E3779B97F4A7C15))
            draws[i] = np.float64(bits >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def mixed(bits: np.uint64) -> np.uint64:
    """SplitMix64's finaliser (Steele et al. 2014): neighbouring inputs, unrelated outputs."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
