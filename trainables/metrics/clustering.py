"""How well an embedding keeps cell types together: ASW, and NMI and ARI of graph clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trainables.metrics.silhouettes import silhouette

RESOLUTIONS = tuple(np.round(np.arange(1, 21) * 0.1, 1).tolist())
"""The twenty resolutions, 0.1 to 2.0, of scib 1.0.4's `opt_louvain`."""
BLIND = 1.0
"""The resolution of who may not look at labels: scanpy's default."""


def asw_label(embedding: np.ndarray, labels: np.ndarray) -> float:
    """Mean euclidean silhouette of the labels, rescaled from [-1, 1] to [0, 1]."""
    return asw(silhouette(embedding, labels))


def asw(widths: np.ndarray) -> float:
    """Mean silhouette width, rescaled from [-1, 1] to [0, 1].

    >>> asw(np.array([1.0, 0.0]))
    0.75
    """
    return (float(np.mean(widths)) + 1) / 2


def louvain(graph: Any, resolution: float, random_state: int = 0) -> np.ndarray:
    """Cluster numbers of Louvain on the graph without its weights.

    scib 1.0.4 calls `scanpy.tl.louvain`, whose default drops the weights; so do we. scikit-network
    finds optima as good as those of the (GPL) louvain package, though not always the same ones.
    """
    from sknetwork.clustering import Louvain

    unweighted = graph.astype(bool).astype(np.float64)
    return Louvain(resolution=resolution, random_state=random_state).fit_predict(unweighted)


def leiden(graph: Any, resolution: float, random_state: int = 0) -> np.ndarray:
    """Cluster numbers of Leiden on the graph with its weights, as `scanpy.tl.leiden` has it."""
    from sknetwork.clustering import Leiden

    return Leiden(resolution=resolution, random_state=random_state).fit_predict(graph)


ALGORITHMS: dict[str, Callable[..., np.ndarray]] = {"louvain": louvain, "leiden": leiden}


def nmi(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Normalised mutual information with the arithmetic mean."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels, clusters))


def ari(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, clusters))


def best_clusters(labels: np.ndarray, candidates: list[np.ndarray]) -> np.ndarray:
    """The clusters whose NMI with the labels is highest.

    Looks at the labels, as scib does; the first (the lowest resolution) wins among equals.
    """
    return max(candidates, key=lambda clusters: nmi(labels, clusters))
