"""How well expression is given back: errors of bins, and three correlations of ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from trainables.protocols import Metrics

# ---- bins -------------------------------------------------------------------------------------


def bin_errors(asked: csr_matrix, given: csr_matrix) -> Metrics:
    """mse and mae over all tokens, and the mean over genes and over cells of their own mse.

    `mse` is figure 7 of Kedzierska et al. (`calculate_losses` on non-zero tokens), where a gene
    counts as often as it occurs. Raises ValueError where the two do not store the same places.
    """
    check_same_places(asked, given)
    wrong = given.data.astype(np.float64) - asked.data
    return {
        "mse": float(np.mean(wrong**2)),
        "mse_genes": float(np.mean(by_gene(asked, wrong**2)["mean"])),
        "mse_cells": float(np.nanmean(by_cell(asked, wrong**2))),
        "mae": float(np.mean(np.abs(wrong))),
    }


def check_same_places(asked: csr_matrix, given: csr_matrix) -> None:
    """Raise ValueError where one stores what the other does not, or neither stores anything."""
    same = asked.shape == given.shape and all(
        np.array_equal(getattr(asked, part), getattr(given, part)) for part in ("indptr", "indices")
    )
    if not same:
        raise ValueError(
            f"{asked.nnz} bins were asked and {given.nnz} given, at other places: what a model"
            " gives back must store the same cells and genes, in the order of what it was asked"
        )
    if not asked.nnz:
        raise ValueError("nothing was asked: no cell has a gene that the model knows")


def by_gene(at: csr_matrix, values: np.ndarray) -> pd.DataFrame:
    """column, n, mean: values stored at the places of `at`, for each gene that occurs."""
    n = np.bincount(at.indices, minlength=at.shape[1])
    occurs = np.flatnonzero(n)
    sums = np.bincount(at.indices, values, minlength=at.shape[1])
    return pd.DataFrame({"column": occurs, "n": n[occurs], "mean": sums[occurs] / n[occurs]})


def by_cell(at: csr_matrix, values: np.ndarray) -> np.ndarray:
    """The mean of each cell's values; NaN where it has none."""
    lengths = np.diff(at.indptr)
    cells = np.repeat(np.arange(at.shape[0]), lengths)
    sums = np.bincount(cells, values, minlength=at.shape[0])
    return np.divide(sums, lengths, out=np.full(at.shape[0], np.nan), where=lengths > 0)


def mean_bins(asked: csr_matrix, *, per_gene: bool) -> csr_matrix:
    """What a mean gives back: of each gene over its own tokens, or one number for everything.

    The paper's text has "the mean expression value of a gene"; its code takes one mean over the
    non-zero bins of all genes and cells (`model_output.py`), which is easier to beat.

    >>> asked = csr_matrix([[1.0, 4.0], [3.0, 0.0]])
    >>> mean_bins(asked, per_gene=True).data.tolist()
    [2.0, 4.0, 2.0]
    """
    said = np.full(asked.nnz, asked.data.mean() if asked.nnz else 0.0)
    if per_gene:
        table = by_gene(asked, asked.data)
        means = np.zeros(asked.shape[1])
        means[table["column"]] = table["mean"]
        said = means[asked.indices]
    return csr_matrix((said, asked.indices, asked.indptr), shape=asked.shape)


# ---- ranks ------------------------------------------------------------------------------------


def rank_correlations(asked: csr_matrix, given: csr_matrix) -> pd.DataFrame:
    """Pearson's r of each cell's ranks by three definitions, each with that of the average rank.

    Takes places from 1, as in `protocols.Reconstruction`. The definitions are those in the history
    of the authors' `model_output.py`; `..._average` is what a token's mean rank over these cells
    scores in the model's place:

    `union` (cf41ee9, and the released code): tokens asked or given in the cell, ranks from 1 to 0,
    an absent one 0; means leave zeros out. What the model invents counts against the average too.
    NaN where a cell's ranks do not vary.
    `all_tokens` (60922e9): the tokens of all cells, so that most pairs are absent from both; ranks
    end above 0, a token named often gets a whole place, and means count the absent as 0.
    `percent_rank` (cbb75dc, the first): the same places over the number of tokens, not over the
    cell's own, which leaves the model's r as it is and gives another average.
    """
    return pd.DataFrame(union(asked, given) | all_tokens(asked, given))


def union(asked: csr_matrix, given: csr_matrix) -> dict[str, np.ndarray]:
    """The released definition."""
    ranks, average = mean_ranks(asked)
    said = as_ranks(given, np.diff(asked.indptr))
    there = csr_matrix((present(asked) + present(given)).sign())
    n = np.diff(there.indptr)
    return {
        "union": pearson(n, ranks, row_sums(said), row_sums(square(said)), both(ranks, said)),
        "union_average": pearson(n, ranks, there @ average, there @ average**2, ranks @ average),
    }


def all_tokens(asked: csr_matrix, given: csr_matrix) -> dict[str, np.ndarray]:
    """The two earlier definitions; no variance is no correlation there, and not NaN."""
    length = np.diff(asked.indptr)
    n_tokens = len(np.unique(np.concatenate([asked.indices, given.indices])))
    steps = with_data(asked, per_entry(asked, length) + 1 - asked.data)
    said = with_data(given, per_entry(given, length) - np.rint(given.data - 1))
    n, complete = np.full(len(length), n_tokens), length == n_tokens
    ranks = (steps.data - per_entry(steps, complete)) / per_entry(steps, at_least(length, complete))
    r = pearson(n, steps, row_sums(said), row_sums(square(said)), both(steps, said))
    found = {}
    for name, values in {"all_tokens": ranks, "percent_rank": steps.data}.items():
        average = column_sums(with_data(steps, values)) / len(length)
        of_average = pearson(n, steps, average.sum(), (average**2).sum(), steps @ average)
        found |= {name: np.nan_to_num(r), f"{name}_average": np.nan_to_num(of_average)}
    return found


def pearson(
    n: np.ndarray, x: csr_matrix, sum_y: np.ndarray, sum_yy: np.ndarray, sum_xy: np.ndarray
) -> np.ndarray:
    """Pearson's r of each row of x with n values y, what is not stored being 0; NaN without
    variance."""
    sum_x, sum_xx = row_sums(x), row_sums(square(x))
    n = np.maximum(n, 1)
    spread = (sum_xx - sum_x**2 / n) * (sum_yy - sum_y**2 / n)
    varies = spread > 1e-12
    shared = sum_xy - sum_x * sum_y / n
    return np.where(varies, shared / np.sqrt(np.where(varies, spread, 1)), np.nan)


def average_places(asked: csr_matrix) -> csr_matrix:
    """Where each asked token stands on average, as places: the papers' baseline as an answer."""
    length = np.diff(asked.indptr)
    _, average = mean_ranks(asked)
    fallen = average[asked.indices] * per_entry(asked, at_least(length))
    return with_data(asked, per_entry(asked, length) - fallen)


def mean_ranks(asked: csr_matrix) -> tuple[csr_matrix, np.ndarray]:
    """Ranks from 1 down to 0 in each cell, and each token's mean over the ranks above 0."""
    ranks = as_ranks(asked, np.diff(asked.indptr))
    above = with_data(ranks, ranks.data > 0)
    return ranks, column_sums(ranks) / np.maximum(column_sums(above), 1)


def as_ranks(places: csr_matrix, length: np.ndarray) -> csr_matrix:
    """1 for the first place of a list of that length, 0 for the last."""
    steps = per_entry(places, length) - places.data
    return with_data(places, steps / per_entry(places, at_least(length)))


def with_data(at: csr_matrix, data: np.ndarray) -> csr_matrix:
    """Other values at the same places."""
    return csr_matrix((np.asarray(data, dtype=np.float64), at.indices, at.indptr), shape=at.shape)


def present(at: csr_matrix) -> csr_matrix:
    """1 where something is stored."""
    return with_data(at, np.ones(at.nnz))


def per_entry(at: csr_matrix, of_rows: np.ndarray) -> np.ndarray:
    """A value of each row, for each of its entries."""
    return np.repeat(of_rows, np.diff(at.indptr))


def at_least(length: np.ndarray, less: np.ndarray | int = 1) -> np.ndarray:
    """Steps in a list of this length, and one where there would be none."""
    return np.maximum(length - less, 1)


def square(x: csr_matrix) -> csr_matrix:
    """Each value squared."""
    return with_data(x, x.data**2)


def row_sums(x: csr_matrix) -> np.ndarray:
    """The sum of each row."""
    return np.asarray(x.sum(axis=1)).ravel()


def column_sums(x: csr_matrix) -> np.ndarray:
    """The sum of each column."""
    return np.asarray(x.sum(axis=0)).ravel()


def both(x: csr_matrix, y: csr_matrix) -> np.ndarray:
    """The sum of products in each row."""
    return row_sums(csr_matrix(x.multiply(y)))
