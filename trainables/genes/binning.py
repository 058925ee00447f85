"""Expression in bins: what a transformer of expression reads instead of values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numba import njit

from trainables.seeds import stream


def quantile_bins(x: Any, n_bins: int = 51, draws: np.ndarray | None = None) -> np.ndarray:
    """scGPT's bins of the stored values of a CSR matrix, int16 in the order of `x.data`.

    The values above zero of a cell are parted at their 0, 1/(n_bins - 2), ..., 1 quantiles into
    bins 1 to n_bins - 1; zeros are bin 0. Only their order within the cell counts, so counts and
    logged values have the same bins. A value that equals several quantiles may go to any of their
    bins: `draws`, a number in [0, 1) for each stored value such as those of `tie_draws`, says to
    which, as scgpt/preprocess.py:_digitize(side="both") does with `np.random.rand`; without draws
    it goes to the highest, as side="one" does. On counts most values are such.

    Raises ValueError for negative values and for n_bins below 3.

    >>> from scipy.sparse import csr_matrix
    >>> quantile_bins(csr_matrix([[5.0, 0, 1, 9], [2, 2, 2, 0]]), n_bins=4).tolist()
    [2, 1, 3, 3, 3, 3]
    """
    if n_bins < 3:
        raise ValueError(f"n_bins is {n_bins}; quantile bins need at least 3, zero's being one")
    if len(x.data) and not np.min(x.data) >= 0:
        raise ValueError("quantile bins are of expression, and these values are not all above zero")
    if draws is not None and len(draws) != len(x.data):
        raise ValueError(f"{len(draws)} draws for {len(x.data)} stored values; give one to each")
    random = np.empty(0) if draws is None else np.asarray(draws, dtype=np.float64)
    bins = np.zeros(len(x.data), dtype=np.int16)
    shares = np.linspace(0, 1, n_bins - 1)
    binned(np.ascontiguousarray(x.data), x.indptr.astype(np.int64), shares, random, bins)
    return bins


def log2_bins(values: np.ndarray, top: int = 5) -> np.ndarray:
    """scBERT's bins of natural-log log1p values: floor(log2(1 + x)), and `top` for all above.

    In float32, as the authors' preprocess.py has them before `.long()` truncates
    (dist_finetune.py:121-126): 0 is [0, 1), 1 is [1, 3), 2 is [3, 7), ...

    >>> log2_bins(np.log1p(np.array([0, 0.9, 1, 2.9, 3, 1000]))).tolist()
    [0, 0, 1, 1, 2, 5]
    """
    log2 = (np.asarray(values) / np.log(2)).astype(np.float32)
    return np.minimum(log2, top).astype(np.int8)


@njit(cache=True, nogil=True)
def binned(
    values: np.ndarray,
    starts: np.ndarray,
    shares: np.ndarray,
    draws: np.ndarray,
    bins: np.ndarray,
) -> None:
    """Fill `bins`, cell by cell; the arithmetic is that of `np.quantile`, type by type."""
    edges = np.empty(len(shares))
    for cell in range(len(starts) - 1):
        first, last = starts[cell], starts[cell + 1]
        above = values[first:last]
        above = np.sort(above[above > 0])
        if len(above) == 0:
            continue
        for i in range(len(shares)):
            place = shares[i] * (len(above) - 1)
            below = min(int(place), len(above) - 1)
            low, high = above[below], above[min(below + 1, len(above) - 1)]
            step, part = high - low, place - below
            # np.quantile comes from the nearer end, which decides whether an edge equals a value
            edges[i] = high - step * (1 - part) if part >= 0.5 else low + step * part
        for i in range(first, last):
            if values[i] > 0:
                up_to = np.searchsorted(edges, values[i], side="right")
                if len(draws):
                    under = np.searchsorted(edges, values[i], side="left")
                    bins[i] = int(np.ceil(draws[i] * (under - up_to) + up_to))
                else:
                    bins[i] = up_to


def tie_draws(x: Any, names: Any, seed: int, purpose: str = "ties") -> np.ndarray:
    """A number in [0, 1) for each stored value of a CSR matrix: a hash of seed, cell and column.

    The cell goes by its name, so it meets the same draws among any others, in any order, on any
    number of workers; the authors' draws depend on all three (FINDINGS of embed_data: a cosine of
    0.9994 between one worker and two).

    >>> from scipy.sparse import csr_matrix
    >>> both = csr_matrix([[1.0, 0, 2], [3, 4, 0]])
    >>> draws = tie_draws(both, ["a", "b"], seed=0)
    >>> bool((tie_draws(both[1:], ["b"], seed=0) == draws[2:]).all())
    True
    """
    key = stream(seed, purpose).integers(2**64, dtype=np.uint64)
    cells = pd.util.hash_array(np.asarray(names, dtype=object), categorize=False)
    draws = np.empty(len(x.data))
    drawn(key, cells, x.indptr.astype(np.int64), x.indices.astype(np.int64), draws)
    return draws


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
