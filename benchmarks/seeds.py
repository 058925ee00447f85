"""Heads on a frozen embedding, seeds x label shares, against the way it was done before.

    uv run python benchmarks/seeds.py [--data FILE.h5ad] [--dimensions 50] [--seeds 10]

The embedding is that of a backbone which never changes (principal components of all cells stand
for one) and is remembered before the clock starts. The peer is what `cached+probe` did: cells
joined in the order of the split, the embedding looked up by the hash of their names, scikit-learn's
scaler and `LogisticRegression`, predictions, scores. All have one thread, which is what a trial of
a probe has, and what scikit-learn is quickest with. Fits alone are shown too, with scikit-learn as
it comes and run on to the optimum, which is where ours goes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from common import show
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.heads import fitted
from trainables.models.cached import Cached
from trainables.models.probe import Probe, stacked, types
from trainables.protocols import Card, Cells, Context, Matrix, Predictions
from trainables.seeds import random_state
from trainables.store import Store
from trainables.tasks.annotation import Annotation
from trainables.userdata import UserFile

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0)
KNOWN: dict[str, np.ndarray] = {}
"""Each cell's coordinates."""
PASSED: list[int] = []
"""How many cells went through the backbone, each time."""


@dataclass(frozen=True)
class Backbone:
    """A frozen network, whose answers are known."""

    card: ClassVar = Card(summary="frozen")
    frozen: ClassVar[bool] = True

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x dimensions."""
        PASSED.append(cells.n_obs)
        return np.stack([KNOWN[name] for name in cells.obs_names])


@dataclass(frozen=True)
class Before:
    """`cached+probe` as it was."""

    embedder: Cached
    C: float = 1.0
    card: ClassVar = Card(summary="a linear classifier on an embedding")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, standardise on the training rows, fit there, predict the rest."""
        ctx.saw("probe fit", train.obs_names)
        embedding = self.embedder.of_all(stacked(train, valid, test), ctx)
        seen, chosen_on, asked = np.split(embedding, np.cumsum([train.n_obs, valid.n_obs]))
        head = estimator(self.C, ctx.seed).fit(seen, types(train))
        return Predictions(test=head.predict(asked), valid=head.predict(chosen_on))


def estimator(C: float, seed: int = 0, tol: float = 1e-4) -> Any:
    """What a probe was."""
    state, most = random_state(seed, "init"), 1000 if tol == 1e-4 else 100_000
    linear = LogisticRegression(C=C, max_iter=most, tol=tol, random_state=state)
    return make_pipeline(StandardScaler(), linear)


def main() -> None:
    """Measure each way and print seconds and ratios."""
    asked = arguments()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        ctx = Context(seed=0, scratch=Path(folder), store=Store(Path(folder)), cpus=1)
        source = catalog.dataset("pbmc68k_reduced") if asked.data is None else UserFile(asked.data)
        cells = open_cells(prepare(source, ctx.store))
        found = PCA(asked.dimensions, svd_solver="arpack", random_state=0).fit_transform(cells.X)
        KNOWN.update(zip(cells.obs_names, found.astype(np.float32), strict=True))
        types_ = cells.obs["cell_type"].nunique()
        print(f"{cells.n_obs} cells x {asked.dimensions} coordinates, {types_} types;", end=" ")
        print(f"{asked.seeds} seeds x {len(FRACTIONS)} label shares, C={asked.C}; load", end=" ")
        print(f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        whole_trials(cells, asked, ctx)
        fits_alone(cells, asked)


def arguments() -> argparse.Namespace:
    """What to measure on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, help="an .h5ad; default: pbmc68k_reduced")
    parser.add_argument("--dimensions", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--C", type=float, default=1.0)
    return parser.parse_args()


def whole_trials(cells: Cells, asked: argparse.Namespace, ctx: Context) -> None:
    """Split, embed, fit, predict, score: everything but the record."""
    backbone = Cached(Backbone())
    design = [(seed, fraction) for seed in range(asked.seeds) for fraction in FRACTIONS]
    tasks = {fraction: Annotation(fraction=fraction) for fraction in FRACTIONS}

    def all_trials(model: Any) -> list[dict[str, float]]:
        return [tasks[f](model, cells, replace(ctx, seed=s)) for s, f in design]

    ways: dict[str, Callable[[], list[dict[str, float]]]] = {
        "peer: as before": lambda: all_trials(Before(backbone, asked.C)),
        "ours": lambda: all_trials(Probe(backbone, asked.C)),
    }
    for name in ways:
        ways[name]()  # embeddings are remembered, libraries loaded
        print(f"{name}: {sum(PASSED):,} cells through the backbone, in {len(PASSED)} passes")
        PASSED.clear()
    found, seconds = {}, {}
    for name, way in ways.items():
        found[name], seconds[name] = timed(way)
    pairs = zip(*found.values(), strict=True)
    apart = [abs(a["test/accuracy"] - b["test/accuracy"]) for a, b in pairs]
    peer = seconds["peer: as before"]
    table: list[list[object]] = [["whole trials", "s", "ratio", "accuracy differs by at most"]]
    for name, took in seconds.items():
        far = "" if name.startswith("peer") else f"{max(apart):.4f}"
        table.append([name, f"{took:.2f}", f"{peer / took:.1f}x", far])
    show(f"{len(design)} trials", table)


def fits_alone(cells: Cells, asked: argparse.Namespace) -> None:
    """Embedding and labels to heads, nothing else."""
    labels = types(cells)
    embedding = np.stack([KNOWN[name] for name in cells.obs_names])
    wide = embedding.astype(np.float64)
    problems = []
    for seed in range(asked.seeds):
        for fraction in FRACTIONS:
            some = Annotation(fraction=fraction).split(cells, seed, "logreg").train
            problems.append((some, labels[some]))

    def theirs(tol: float, x: np.ndarray) -> list[Any]:
        return [estimator(asked.C, tol=tol).fit(x[rows], taught) for rows, taught in problems]

    ways: dict[str, Callable[[], list[Any]]] = {
        "peer: scikit-learn, tol=1e-4 (its default)": lambda: theirs(1e-4, embedding),
        "scikit-learn to the optimum (float64, tol=1e-8)": lambda: theirs(1e-8, wide),
        "ours": lambda: [fitted(embedding[rows], taught, asked.C) for rows, taught in problems],
    }
    found, seconds = {}, {}
    for name, way in ways.items():
        found[name], seconds[name] = timed(way)
    best = [softmax(head.scores(embedding)) for head in found["ours"]]
    peer = seconds["peer: scikit-learn, tol=1e-4 (its default)"]
    rows: list[list[object]] = [
        ["fits alone", "s", "ratio", "largest difference of a probability", "labels that differ"]
    ]
    for name, took in seconds.items():
        chances = [
            one.predict_proba(embedding)
            if hasattr(one, "predict_proba")
            else softmax(one.scores(embedding))
            for one in found[name]
        ]
        pairs = list(zip(chances, best, strict=True))
        far = max(np.abs(a - b).max() for a, b in pairs)
        others = np.mean([(a.argmax(axis=1) != b.argmax(axis=1)).mean() for a, b in pairs])
        rows.append([name, f"{took:.2f}", f"{peer / took:.1f}x", f"{far:.1e}", f"{others:.3%}"])
    show(f"{len(problems)} heads, compared with ours", rows)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def timed(way: Callable[[], list[Any]]) -> tuple[list[Any], float]:
    """What it gives, and its wall seconds."""
    started = time.perf_counter()
    found = way()
    return found, time.perf_counter() - started


if __name__ == "__main__":
    main()
