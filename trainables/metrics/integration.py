"""How well an embedding mixes batches, and what becomes of cell types in the mixture."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainables.metrics.clustering import asw
from trainables.metrics.neighbours import Neighbours
from trainables.metrics.silhouettes import silhouette, silhouettes

COMPONENTS = 50
"""Principal components that batches are regressed on, as in scib."""
ROWS = 8192
"""Cells whose neighbourhoods are weighted at a time."""


def asw_batch(embedding: np.ndarray, batches: np.ndarray) -> float:
    """Mean silhouette of the batches over all cells, in [0, 1]; high is *unmixed*.

    As Kedzierska et al. compute "ASW_batch": scib's label silhouette, given batches.
    """
    return asw(silhouette(embedding, batches))


def asw_label_batch(embedding: np.ndarray, labels: np.ndarray, batches: np.ndarray) -> float:
    """1 - |silhouette of batches| within each cell type, averaged over types; high is mixed."""
    return mean_over_types(silhouettes(embedding, labels, batches).within, labels)


def mean_over_types(within: np.ndarray, labels: np.ndarray) -> float:
    """The mean over cell types of their mean of 1 - |width|; types without widths are skipped.

    >>> widths = np.array([0.5, -0.5, 0.0, np.nan])
    >>> mean_over_types(widths, np.array(["a", "a", "b", "c"]))
    0.75
    """
    told = ~np.isnan(within)
    if not told.any():
        return float("nan")
    _, codes = np.unique(labels[told], return_inverse=True)
    mixed = np.bincount(codes, weights=1 - np.abs(within[told])) / np.bincount(codes)
    return float(mixed.mean())


def graph_connectivity(graph: Any, labels: np.ndarray) -> float:
    """The share of each type's cells in its largest connected piece, averaged over types."""
    from scipy.sparse.csgraph import connected_components

    shares = []
    for label in np.unique(labels):
        cells = np.flatnonzero(labels == label)
        _, pieces = connected_components(graph[cells][:, cells], connection="strong")
        shares.append(np.bincount(pieces).max() / len(cells))
    return float(np.mean(shares))


def pcr(values: Any, batches: np.ndarray, n_components: int = COMPONENTS) -> float:
    """The share of variance that batches explain, component by component: 0 is none.

    Principal component regression (Büttner et al. 2019): the R2 of each of the first 50
    components on the batches, weighted by the component's variance. `values`: cells x anything,
    an array or CSR.
    """
    coordinates = components(values, n_components)
    _, codes, sizes = np.unique(batches, return_inverse=True, return_counts=True)
    member = np.eye(len(sizes))[codes]
    means = (member.T @ coordinates) / sizes[:, None]
    total = (coordinates**2).sum(axis=0)  # components have mean zero
    between = (means**2 * sizes[:, None]).sum(axis=0)
    return float(between.sum() / total.sum())  # R2 = between / total, weighted by total


def components(values: Any, n_components: int = COMPONENTS) -> np.ndarray:
    """Coordinates on the first principal components: cells x at most n, float64."""
    from scipy import sparse
    from sklearn.decomposition import PCA

    most = min(values.shape)
    if n_components < most:
        exact = PCA(n_components, svd_solver="arpack", random_state=0)
    else:
        exact = PCA(most, svd_solver="full")
        values = sparse.csr_matrix(values).toarray()
    return exact.fit_transform(values.astype(np.float64))


def pcr_comparison(before: float, after: float) -> float:
    """The share of the batches' variance that an embedding took away; never below zero.

    >>> pcr_comparison(0.5, 0.125), pcr_comparison(0.1, 0.4)
    (0.75, 0.0)
    """
    return max(0.0, (before - after) / before) if before > 0 else 0.0


def ilisi(neighbours: Neighbours, batches: np.ndarray) -> float:
    """Batches in a neighbourhood, from 0 (one) to 1 (all, equally): the median over cells."""
    return (float(np.nanmedian(lisi(neighbours, batches))) - 1) / (len(np.unique(batches)) - 1)


def clisi(neighbours: Neighbours, labels: np.ndarray) -> float:
    """Cell types in a neighbourhood, from 1 (one) to 0 (all, equally): the median over cells."""
    kinds = len(np.unique(labels))
    return (kinds - float(np.nanmedian(lisi(neighbours, labels)))) / (kinds - 1)


def lisi(neighbours: Neighbours, groups: np.ndarray) -> np.ndarray:
    """The effective number of groups around each cell: the inverse Simpson index.

    Korsunsky et al. 2019, on the nearest neighbours themselves as in scib-metrics (scib 1.0.4
    walks shortest paths on the graph instead). The perplexity is a third of the neighbours.
    """
    _, codes = np.unique(groups, return_inverse=True)
    kinds = codes.max() + 1
    found = np.empty(len(codes))
    perplexity = neighbours.indices.shape[1] // 3
    for start in range(0, len(codes), ROWS):
        rows = slice(start, start + ROWS)
        weights = gaussian_weights(neighbours.distances[rows, 1:], perplexity)
        near = codes[neighbours.indices[rows, 1:]]
        at = np.arange(len(near))[:, None] * kinds + near
        shares = np.bincount(at.ravel(), weights.ravel(), minlength=len(near) * kinds)
        found[rows] = 1 / (shares.reshape(-1, kinds) ** 2).sum(axis=1)
    return found


def gaussian_weights(
    distances: np.ndarray, perplexity: float, tolerance: float = 1e-5, tries: int = 50
) -> np.ndarray:
    """exp(-beta x distance), rows adding up to one, with an entropy of log(perplexity).

    Beta is found by bisection on all rows at once; rows that are there already stay as they are.
    """
    away = distances.astype(np.float64)
    away = away - away[:, :1]  # weights stay the same, and no row underflows
    beta = np.ones((len(away), 1))
    low, high = np.full_like(beta, -np.inf), np.full_like(beta, np.inf)
    weights = away
    for attempt in range(tries + 1):
        weights = np.exp(-away * beta)
        total = weights.sum(axis=1, keepdims=True)
        weights /= total
        entropy = np.log(total) + beta * (away * weights).sum(axis=1, keepdims=True)
        excess = entropy - np.log(perplexity)
        off = np.abs(excess) > tolerance
        if attempt == tries or not off.any():
            break
        wide = excess > 0
        low, high = np.where(off & wide, beta, low), np.where(off & ~wide, beta, high)
        up = np.where(np.isinf(high), beta * 2, (beta + high) / 2)
        down = np.where(np.isinf(low), beta / 2, (beta + low) / 2)
        beta = np.where(off, np.where(wide, up, down), beta)
    return weights
