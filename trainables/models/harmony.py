"""Harmony: principal components, shifted within soft clusters until batches lie together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.cells import fit_rows
from trainables.models.pca import PCA
from trainables.protocols import Card, Cells, Context, Matrix
from trainables.seeds import random_state, stream


@dataclass(frozen=True)
class Harmony:
    """Korsunsky et al. 2019, written from the paper: harmonypy is GPL-3, which we cannot ship.

    Looks at batches, and at all cells that it embeds.
    """

    n_components: int = 50
    theta: float = 2.0
    """How strongly clusters are held to every batch's share; 0 is not at all."""
    sigma: float = 0.1
    """The width of soft clusters."""
    ridge: float = 1.0
    """How little a batch may be shifted on few cells."""
    rounds: int = 10
    """Times that cells are clustered and shifted."""

    card: ClassVar = Card(
        summary="principal components with batches shifted together by Harmony",
        citation="Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0",
    )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x components; where there is one batch, the components as they are.

        Raises ValueError where rows are marked for training: there is no way to shift a cell
        that was not among those clustered.
        """
        if len(fit_rows(cells)) < cells.n_obs:
            raise ValueError("harmony embeds all cells at once, so it cannot hold any of them out")
        start = PCA(self.n_components).embed(cells, ctx)
        if "batch" not in cells.obs or cells.obs["batch"].nunique() < 2:
            return start
        ctx.saw("harmony fit", cells.obs_names)
        _, batch = np.unique(cells.obs["batch"].astype(str), return_inverse=True)
        return self.shifted(start, batch, ctx.seed).astype(np.float32)

    def shifted(self, start: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
        """Coordinates (cells x components) with batches (codes from 0) moved together."""
        from sklearn.cluster import KMeans

        original = start.astype(np.float64)
        member = np.eye(batch.max() + 1)[batch]
        direction = unit(original)
        n_clusters = min(100, max(2, round(len(original) / 30)))
        first = KMeans(
            n_clusters, n_init="auto", random_state=random_state(seed, "harmony clusters")
        )
        share = soft(direction, unit(first.fit(direction).cluster_centers_), self.sigma)
        order = stream(seed, "harmony order")
        corrected = original
        for _ in range(self.rounds):
            share = self.clustered(unit(corrected), share, member, order)
            before, corrected = corrected, self.corrected(original, share, member)
            moved = np.linalg.norm(corrected - before) / np.linalg.norm(before)
            if moved < 1e-3:
                break
        return corrected

    def clustered(
        self,
        direction: np.ndarray,
        share: np.ndarray,
        member: np.ndarray,
        order: np.random.Generator,
        sweeps: int = 20,
    ) -> np.ndarray:
        """Shares of clusters in cells (cells x clusters) that are near and mixed.

        Algorithm 2: cells change their shares a twentieth at a time, because what one cell prefers
        depends on which batches the cluster already holds.
        """
        expected_share = member.mean(axis=0)
        share = share.copy()
        for _ in range(sweeps):
            near = nearness(direction, unit(share.T @ direction), self.sigma)
            before = share.copy()
            for block in np.array_split(order.permutation(len(share)), 20):
                rest = share.sum(axis=0) - share[block].sum(axis=0)
                observed = share.T @ member - share[block].T @ member[block]
                expected = np.outer(rest, expected_share)
                penalty = ((expected + 1) / (observed + 1)) ** self.theta  # clusters x batches
                weights = near[block] * (member[block] @ penalty.T)
                share[block] = weights / weights.sum(axis=1, keepdims=True)
            if np.abs(share - before).mean() * share.shape[1] < 1e-3:
                break
        return share

    def corrected(self, original: np.ndarray, share: np.ndarray, member: np.ndarray) -> np.ndarray:
        """The original coordinates less what batches add in each cluster (algorithm 3).

        A ridge regression per cluster on an intercept and the batches; the intercept stays.
        """
        design = np.column_stack([np.ones(len(member)), member])
        ridge = np.diag([0.0] + [self.ridge] * member.shape[1])
        kept = original.copy()
        for weights in share.T:
            weighted = design * weights[:, None]
            effects = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ original)
            effects[0] = 0
            kept -= weighted @ effects
        return kept


def unit(points: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def nearness(direction: np.ndarray, centres: np.ndarray, sigma: float) -> np.ndarray:
    """exp(-2 (1 - cosine) / sigma), up to a factor for each cell: cells x clusters."""
    distance = 2 * (1 - direction @ centres.T)
    return np.exp(-(distance - distance.min(axis=1, keepdims=True)) / sigma)


def soft(direction: np.ndarray, centres: np.ndarray, sigma: float) -> np.ndarray:
    """Shares of the clusters in each cell, by nearness alone."""
    near = nearness(direction, centres, sigma)
    return near / near.sum(axis=1, keepdims=True)


MODEL = Harmony
