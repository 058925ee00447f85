"""Gene positions from co-expression in the cells at hand, where the authors' gene2vec is not."""

from __future__ import annotations

from typing import Any

import numpy as np


def positions(x: Any, dim: int, seed: int) -> np.ndarray:
    """Genes x dim, float32: genes that rise and fall together lie together.

    Ours, not gene2vec (which was learnt from the co-expressed pairs of 984 data sets): a gene's
    coordinates are its correlations with the `dim` largest principal components of standardised
    log expression `x`, cells x genes CSR; all coordinates together are scaled to a mean square of
    1, that of token embeddings at their start. Genes that never vary, and coordinates beyond what
    the cells can carry, are 0.
    """
    from scipy import sparse
    from sklearn.decomposition import PCA

    mean = np.asarray(x.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(x.multiply(x).mean(axis=0)).ravel() - mean**2, 0))
    varies = spread > 1e-6
    placed = np.zeros((x.shape[1], dim), dtype=np.float32)
    carried = min(dim, x.shape[0] - 1, int(varies.sum()) - 1)
    if carried < 1:
        return placed
    scale = sparse.diags_array(1 / spread[varies])
    standard = sparse.csr_matrix(x[:, varies].astype(np.float64) @ scale)
    found = PCA(carried, svd_solver="arpack", random_state=seed).fit(standard)
    loadings = np.asarray(found.components_).T * np.sqrt(found.explained_variance_)
    placed[varies, :carried] = loadings / np.sqrt(np.mean(loadings**2))
    return placed
