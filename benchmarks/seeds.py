"""Heads on a frozen embedding, seeds x label shares, against the way it was done before.

    uv run python benchmarks/seeds.py [--data FILE.h5ad] [--dimensions 50] [--seeds 10]

The embedding is that of a backbone which never changes (principal components of all cells stand
for one) and is remembered before the clock starts. The peer is what `cached+probe` did: cells
joined in the order of the split, the embedding looked up by the hash of their names, scikit-learn's
scaler and `LogisticRegression`, predictions, scores. All have one thread, which is what a trial of
a probe has, and what scikit-learn is quickest with. Fits alone are shown too, with scikit-learn as
it comes and run on to the optimum, which is where ours goes; and as the authors of networks train
heads: torch, one head at a time, Adam on batches of 32, for scGPT's ten epochs, or for as many as
it takes until the head names the cells as the optimum does. Of those, `--loops` heads are trained,
and their time is taken for all.
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
TOLERATED = 0.001
"""Of all cells, how many a head may name otherwise than the optimum does."""
MOST_EPOCHS = 1000
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


@dataclass
class Loop:
    """A head trained by torch's Adam on batches of 32, as the authors of networks train theirs.

    The objective is the others': C times the summed cross-entropy plus half the squared weights,
    over the number of cells. It ends early once no more than `TOLERATED` of all cells are named
    otherwise than in `goal`.
    """

    C: float
    lr: float
    epochs: int
    epoch: int = 0

    def fit(
        self, x: np.ndarray, labels: np.ndarray, goal: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Loop:
        """Of cells x dimensions; `goal` is an embedding, and a name for each of its rows."""
        import torch

        torch.set_num_threads(1)
        self.scaler = StandardScaler().fit(x)
        z = torch.from_numpy(self.scaler.transform(x).astype(np.float32))
        classes, codes = np.unique(labels, return_inverse=True)
        y, draw = torch.from_numpy(codes), torch.Generator().manual_seed(0)
        self.linear = torch.nn.Linear(z.shape[1], len(classes))
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)
        adam = torch.optim.Adam(self.linear.parameters(), lr=self.lr)
        for epoch in range(1, self.epochs + 1):
            for rows in torch.randperm(len(z), generator=draw).split(32):
                loss = torch.nn.functional.cross_entropy(self.linear(z[rows]), y[rows])
                loss = loss + self.linear.weight.square().sum() / (2 * self.C * len(z))
                adam.zero_grad()
                loss.backward()
                adam.step()
            self.epoch = epoch
            if goal is not None and epoch % 10 == 0:
                said = self.predict_proba(goal[0]).argmax(axis=1)
                if (classes[said] != goal[1]).mean() <= TOLERATED:
                    break
        return self

    def predict_proba(self, embedding: np.ndarray) -> np.ndarray:
        """cells x classes."""
        import torch

        with torch.no_grad():
            z = torch.from_numpy(self.scaler.transform(embedding).astype(np.float32))
            return self.linear(z).softmax(dim=1).numpy()


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
    parser.add_argument("--loops", type=int, default=10, help="heads that torch trains")
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

    def loops(**how: Any) -> list[Any]:
        return [Loop(asked.C, **how).fit(embedding[r], t) for r, t in problems[: asked.loops]]

    def loops_to_the_goal() -> list[Any]:
        goals = ((embedding, head.predict(embedding)) for head in found["ours"])
        return [
            Loop(asked.C, lr=1e-2, epochs=MOST_EPOCHS).fit(embedding[rows], taught, goal)
            for (rows, taught), goal in zip(problems[: asked.loops], goals, strict=False)
        ]

    peer, loop = "peer: scikit-learn, tol=1e-4 (its default)", "torch, as the optimum names cells"
    ways: dict[str, Callable[[], list[Any]]] = {
        peer: lambda: theirs(1e-4, embedding),
        "scikit-learn to the optimum (float64, tol=1e-8)": lambda: theirs(1e-8, wide),
        "ours": lambda: [fitted(embedding[rows], taught, asked.C) for rows, taught in problems],
        "torch, 10 epochs": lambda: loops(lr=1e-3, epochs=10),
        loop: loops_to_the_goal,
    }
    found, seconds = {}, {}
    for name, way in ways.items():
        found[name], took = timed(way)
        seconds[name] = took * len(problems) / len(found[name])
    best = [softmax(head.scores(embedding)) for head in found["ours"]]
    rows: list[list[object]] = [
        ["fits alone", "s", "ours to it", "a probability differs by", "labels that differ"]
    ]
    for name, took in seconds.items():
        chances = [
            one.predict_proba(embedding)
            if hasattr(one, "predict_proba")
            else softmax(one.scores(embedding))
            for one in found[name]
        ]
        pairs = list(zip(chances, best, strict=False))
        far = max(np.abs(a - b).max() for a, b in pairs)
        others = np.mean([(a.argmax(axis=1) != b.argmax(axis=1)).mean() for a, b in pairs])
        ratio = f"{took / seconds['ours']:.1f}x"
        rows.append([name, f"{took:.2f}", ratio, f"{far:.1e}", f"{others:.3%}"])
    show(f"{len(problems)} heads, compared with ours", rows)
    epochs = [one.epoch for one in found[loop]]
    print(f"{loop}: {min(epochs)} to {max(epochs)} epochs, {MOST_EPOCHS} at most")


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
