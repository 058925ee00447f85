"""Each cell's nearest neighbours, exactly, and the weighted graph that clusters are found in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

NEAREST = 90
"""Neighbours searched for, the cell itself included: as many as LISI asks for."""
IN_GRAPH = 15
"""Neighbours in the graph, the cell itself included: scanpy's default."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Two arrays, cells x neighbours: which, and how far. The cell itself comes first, at zero."""

    indices: np.ndarray
    distances: np.ndarray

    def nearest(self, n: int) -> Neighbours:
        """The first n of each cell."""
        return Neighbours(self.indices[:, :n], self.distances[:, :n])

    @cached_property
    def graph(self) -> Any:
        """The fuzzy graph of the fifteen nearest: CSR, symmetric, cells x cells.

        What `scanpy.pp.neighbors` makes by default of the same neighbours. scanpy searches
        exactly up to 4,096 cells and approximately above; this is exact at every size.
        """
        from scipy import sparse
        from umap.umap_ import fuzzy_simplicial_set

        few = self.nearest(IN_GRAPH)
        graph: Any = fuzzy_simplicial_set(
            sparse.coo_matrix((len(few.indices), 1)),  # only its length is looked at
            n_neighbors=few.indices.shape[1],
            random_state=None,
            metric=None,
            knn_indices=few.indices,
            knn_dists=few.distances,
        )[0]
        return graph.tocsr()


def neighbours(embedding: np.ndarray, n: int = NEAREST) -> Neighbours:
    """Each cell and its n - 1 nearest others by euclidean distance; fewer where cells are few.

    Takes the array alone, so no neighbours left by another embedding can be taken for its own.
    """
    from sklearn.neighbors import NearestNeighbors

    points = np.asarray(embedding, dtype=np.float32)
    others = min(n, len(points)) - 1
    search = NearestNeighbors(n_neighbors=others, algorithm="brute").fit(points)
    distances, indices = search.kneighbors()  # of the fitted points: each but itself
    itself = np.arange(len(points))
    return Neighbours(
        np.column_stack([itself, indices]),
        np.column_stack([np.zeros(len(points), np.float32), distances.astype(np.float32)]),
    )
