"""How well an embedding keeps cell types together: ASW, and NMI and ARI of Louvain clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

RESOLUTIONS = tuple(np.round(np.arange(1, 21) * 0.1, 1).tolist())
"""The twenty resolutions, 0.1 to 2.0, of scib 1.0.4's `opt_louvain`."""


def asw_label(embedding: np.ndarray, labels: np.ndarray) -> float:
    """Mean euclidean silhouette of the labels, rescaled from [-1, 1] to [0, 1]."""
    from sklearn.metrics import silhouette_score

    return (float(silhouette_score(embedding, labels)) + 1) / 2


def neighbour_graph(embedding: np.ndarray, n_neighbors: int = 15, random_state: int = 0) -> Any:
    """scanpy's weighted neighbour graph of an embedding: sparse, symmetric, cells x cells.

    Built from the array alone, so no graph left by another embedding can be taken for it.
    """
    import anndata as ad
    import scanpy as sc

    coordinates: Any = {"embedding": np.asarray(embedding, dtype=np.float32)}
    cells: Any = ad.AnnData(obsm=coordinates)
    neighbours = min(n_neighbors, len(embedding) - 1)
    sc.pp.neighbors(cells, neighbours, use_rep="embedding", random_state=random_state)
    return cells.obsp["connectivities"].tocsr()


def louvain(graph: Any, resolution: float, random_state: int = 0) -> np.ndarray:
    """Cluster numbers of Louvain on modularity with a resolution."""
    from sknetwork.clustering import Louvain

    return Louvain(resolution=resolution, random_state=random_state).fit_predict(graph)


def nmi(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Normalised mutual information with the arithmetic mean."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels, clusters))


def ari(labels: np.ndarray, clusters: np.ndarray) -> float:
    """Adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, clusters))


def best_louvain(embedding: np.ndarray, labels: np.ndarray, random_state: int = 0) -> np.ndarray:
    """The clusters, over twenty resolutions, whose NMI with the labels is highest.

    Looks at the labels, as scib does; the first resolution wins among equals.
    """
    graph = neighbour_graph(embedding, random_state=random_state)
    candidates = [louvain(graph, resolution, random_state) for resolution in RESOLUTIONS]
    return max(candidates, key=lambda clusters: nmi(labels, clusters))
