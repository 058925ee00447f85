"""Expression in bins: what a transformer of expression reads instead of values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from trainables.genes.kernels import binned, drawn, side_by_side
from trainables.seeds import stream


def quantile_bins(
    x: Any, n_bins: int = 51, draws: np.ndarray | None = None, *, threads: int = 1
) -> np.ndarray:
    """scGPT's bins of the stored values of a CSR matrix, int16 in the order of `x.data`.

    The values above zero of a cell are parted at their 0, 1/(n_bins - 2), ..., 1 quantiles into
    bins 1 to n_bins - 1; zeros are bin 0. Only their order within the cell counts, so counts and
    logged values have the same bins. A value that equals several quantiles may go to any of their
    bins: `draws`, a number in [0, 1) for each stored value such as those of `tie_draws`, says to
    which, as scgpt/preprocess.py:_digitize(side="both") does with `np.random.rand`; without draws
    it goes to the highest, as side="one" does. On counts most values are such. `threads` share
    the cells.

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
    values = np.ascontiguousarray(x.data)

    def work(rows: slice) -> None:
        binned(values, x.indptr[rows.start : rows.stop + 1], shares, random, bins)

    side_by_side(work, x.indptr, threads)
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


def tie_draws(
    x: Any, names: Any, seed: int, purpose: str = "ties", *, threads: int = 1
) -> np.ndarray:
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

    def work(rows: slice) -> None:
        drawn(key, cells[rows], x.indptr[rows.start : rows.stop + 1], x.indices, draws)

    side_by_side(work, x.indptr, threads)
    return draws
