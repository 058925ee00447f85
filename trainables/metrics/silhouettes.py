"""Silhouette widths of many groupings from one pass over the distances, which are never kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TILE = 512
"""Cells on a side of a tile of distances: 2 MB, small enough to stay in a CPU's cache."""


def distance_sums(embedding: np.ndarray, groups: np.ndarray, tile: int = TILE) -> np.ndarray:
    """Each cell's summed euclidean distance to every group: cells x groups, float64.

    `groups` are codes from 0 up. Distances are symmetric, so only tiles on and above the diagonal
    are computed; memory is that of the embedding and the result, never cells x cells.
    """
    order = np.argsort(groups, kind="stable")  # a group's cells lie together: sums are slices
    points = np.asarray(embedding, dtype=np.float64)[order]
    points -= points.mean(axis=0)  # distances stay, and the norms below lose fewer digits
    norms = np.einsum("ij,ij->i", points, points)
    codes = groups[order]
    sums = np.zeros((len(points), int(groups.max()) + 1))
    blocks = [slice(start, start + tile) for start in range(0, len(points), tile)]
    for i, row in enumerate(blocks):
        for column in blocks[i:]:
            distances = points[row] @ (-2 * points[column].T)
            distances += norms[row, None]
            distances += norms[column]
            np.maximum(distances, 0, out=distances)  # rounding can fall below zero
            np.sqrt(distances, out=distances)
            if row == column:
                np.fill_diagonal(distances, 0)
            else:
                sums[column, touched(codes[row])] += summed_rows(distances, codes[row]).T
            sums[row, touched(codes[column])] += summed_columns(distances, codes[column])
    unordered = np.empty_like(sums)
    unordered[order] = sums
    return unordered


def touched(codes: np.ndarray) -> slice:
    """The groups in a sorted stretch of codes."""
    return slice(codes[0], codes[-1] + 1)


def summed_columns(distances: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Columns of equal, sorted, gapless codes, added up: rows x groups."""
    return np.add.reduceat(distances, starts(codes), axis=1)


def summed_rows(distances: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Rows of equal, sorted, gapless codes, added up: groups x columns."""
    pieces = np.split(distances, starts(codes)[1:])  # reduceat is 20 times slower along rows
    return np.stack([piece.sum(axis=0) for piece in pieces])


def starts(codes: np.ndarray) -> np.ndarray:
    """Where each group of a sorted stretch begins."""
    return np.flatnonzero(np.diff(codes, prepend=-1))


def widths(sums: np.ndarray, own: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Each cell's silhouette (b - a) / max(a, b), from its distance sums to every group.

    Rousseeuw 1987. Zero for a cell alone in its group, as in scikit-learn. A group of size zero
    is nobody's nearest.
    """
    cells = np.arange(len(own))
    others = sizes[own] - 1
    within = sums[cells, own] / np.maximum(others, 1)
    means = np.divide(sums, sizes, out=np.full_like(sums, np.inf), where=sizes > 0)
    means[cells, own] = np.inf
    nearest = means.min(axis=1)
    scale = np.maximum(within, nearest)
    difference = nearest - within
    told = (scale > 0) & np.isfinite(scale)  # not among equals, nor where there is one group
    found = np.divide(difference, scale, out=np.zeros_like(scale), where=told)
    return np.where(others > 0, found, 0.0)


@dataclass(frozen=True, eq=False)
class Silhouettes:
    """Silhouette widths of cells, one array for each grouping."""

    label: np.ndarray
    """Among cell types."""
    batch: np.ndarray
    """Among batches, whatever the type."""
    within: np.ndarray
    """Among the batches of the cell's own type; NaN in types that cannot tell (see `within`)."""


def silhouettes(embedding: np.ndarray, labels: np.ndarray, batches: np.ndarray) -> Silhouettes:
    """All three from one pass: distances are summed to each pair of type and batch.

    Memory: cells x (dimensions + pairs present) numbers, beside a tile.
    """
    types, label = np.unique(labels, return_inverse=True)
    kinds, batch = np.unique(batches, return_inverse=True)
    pairs, pair = np.unique(label * len(kinds) + batch, return_inverse=True)
    sums, sizes = distance_sums(embedding, pair), np.bincount(pair)
    label_of, batch_of = np.divmod(pairs, len(kinds))
    to_label, to_batch = np.eye(len(types))[label_of], np.eye(len(kinds))[batch_of]
    return Silhouettes(
        label=widths(sums @ to_label, label, np.bincount(label)),
        batch=widths(sums @ to_batch, batch, np.bincount(batch)),
        within=within(sums, pair, sizes, label_of),
    )


def within(
    sums: np.ndarray, pair: np.ndarray, sizes: np.ndarray, label_of: np.ndarray
) -> np.ndarray:
    """Each cell's silhouette among the batches of its own type.

    NaN in types of one batch, or of as many batches as cells, which scib 1.0.4 skips.
    """
    found = np.full(len(sums), np.nan)
    label = label_of[pair]
    for kind in np.unique(label_of):
        cells, columns = np.flatnonzero(label == kind), np.flatnonzero(label_of == kind)
        if 1 < len(columns) < len(cells):
            own = np.searchsorted(columns, pair[cells])
            found[cells] = widths(sums[np.ix_(cells, columns)], own, sizes[columns])
    return found


def silhouette(embedding: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each cell's silhouette width in one grouping."""
    _, codes = np.unique(groups, return_inverse=True)
    return widths(distance_sums(embedding, codes), codes, np.bincount(codes))
