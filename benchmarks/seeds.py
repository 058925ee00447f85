"""Heads on a frozen embedding, seeds x label shares, against the ways it was done before.

    uv run python benchmarks/seeds.py [--data FILE.h5ad] [--dimensions 50] [--seeds 10]

The embedding is that of a backbone which never changes (principal components of all cells stand
for one) and is remembered before the clock starts. All have one thread, which is what a trial has,
and what small heads are quickest with, so that seconds of CPU are what it takes on a quiet machine.

Heads alone, from embedding and labels: by Adam, beside torch's loop of the same steps, one head at
a time; and at the optimum, beside scikit-learn as it comes and run on to the optimum. Whole trials:
the peer is what `cached+probe` did: cells joined in the order of the split, the embedding looked up
by the hash of their names, scikit-learn's scaler and `LogisticRegression`, predictions, scores.
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
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from trainables import adam, catalog
from trainables.cells import open_cells, prepare
from trainables.heads import Head, fitted
from trainables.models.cached import Cached
from trainables.models.head import MODEL as ByAdam
from trainables.models.head import orders, start
from trainables.models.probe import Probe, embedded, stacked, types
from trainables.protocols import Card, Cells, Context, Matrix, Predictions
from trainables.seeds import random_state
from trainables.store import Store
from trainables.tasks.annotation import Annotation
from trainables.userdata import UserFile

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0)
KNOWN: dict[str, np.ndarray] = {}
"""Each cell's coordinates."""
EPOCHS = ByAdam.epochs
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
    card: ClassVar = Card(summary="a linear classifier on an embedding")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, standardise on the training rows, fit there, predict the rest."""
        ctx.saw("probe fit", train.obs_names)
        embedding = self.embedder.of_all(stacked(train, valid, test), ctx)
        seen, chosen_on, asked = np.split(embedding, np.cumsum([train.n_obs, valid.n_obs]))
        head = estimator(ctx.seed).fit(seen, types(train))
        return Predictions(test=head.predict(asked), valid=head.predict(chosen_on))


def estimator(seed: int = 0, tol: float = 1e-4) -> Any:
    """What a probe was."""
    state, most = random_state(seed, "init"), 1000 if tol == 1e-4 else 100_000
    linear = LogisticRegression(max_iter=most, tol=tol, random_state=state)
    return make_pipeline(StandardScaler(), linear)


@dataclass(frozen=True)
class ByTorch:
    """`head`, but for who trains it."""

    embedder: Cached
    card: ClassVar = Card(summary="a linear layer on an embedding, trained by Adam")

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Embed, standardise on the training rows, train there, predict the rest."""
        ctx.saw("head fit", train.obs_names)
        seen, chosen_on, asked = embedded(self.embedder, train, valid, test, ctx)
        head = by_torch(seen, types(train), ctx.seed)
        return Predictions(test=head.predict(asked), valid=head.predict(chosen_on))


def by_torch(x: np.ndarray, labels: np.ndarray, seed: int) -> Head:
    """A head by torch's loop, from the initial weights and with the batches of `by_adam`.

    Rows are taken from one tensor; the loaders that authors put around it take longer.
    """
    import torch

    scaler = StandardScaler().fit(x)
    classes, codes = np.unique(labels, return_inverse=True)
    z, y = torch.from_numpy(scaler.transform(x)), torch.from_numpy(codes)
    begun = torch.from_numpy(start(seed, len(classes), x.shape[1]))
    layer = torch.nn.Linear(x.shape[1], len(classes))
    layer.load_state_dict({"weight": begun[:, :-1], "bias": begun[:, -1]})
    steps = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for order in orders(seed, len(z), EPOCHS):
        for rows in torch.from_numpy(order).split(32):
            loss = torch.nn.functional.cross_entropy(layer(z[rows]), y[rows])
            steps.zero_grad()
            loss.backward()
            steps.step()
    weights = torch.column_stack([layer.weight, layer.bias]).detach().numpy()
    return Head.of_standardised(classes, weights.T, scaler.mean_, scaler.scale_)


def by_adam(x: np.ndarray, labels: np.ndarray, seed: int) -> Head:
    """The same by ours."""
    begun = start(seed, len(np.unique(labels)), x.shape[1])
    return adam.fitted(x, labels, begun, orders(seed, len(x), EPOCHS))


WAYS: dict[str, dict[str, Callable[[np.ndarray, np.ndarray, int], Any]]] = {
    f"by Adam on batches of 32, {EPOCHS} epochs": {
        "peer: torch, one head at a time": by_torch,
        "ours": by_adam,
    },
    "at the optimum": {
        "peer: scikit-learn, tol=1e-4 (its default)": lambda x, y, seed: estimator().fit(x, y),
        "scikit-learn to the optimum (float64, tol=1e-8)": lambda x, y, seed: estimator(
            tol=1e-8
        ).fit(x.astype(np.float64), y),
        "ours": lambda x, y, seed: fitted(x, y),
    },
}


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
        print(f"{asked.seeds} seeds x {len(FRACTIONS)} label shares; load", end=" ")
        print(f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        one_torch_thread()
        heads_alone(cells, asked.seeds)
        whole_trials(cells, asked.seeds, ctx)


def arguments() -> argparse.Namespace:
    """What to measure on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, help="an .h5ad; default: pbmc68k_reduced")
    parser.add_argument("--dimensions", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


def one_torch_thread() -> None:
    """As everyone has; and what torch loads and compiles by a first head is not on the clock."""
    import torch

    torch.set_num_threads(1)
    for train in (by_torch, by_adam):
        train(np.eye(4, dtype=np.float32), np.arange(4), 0)


def heads_alone(cells: Cells, seeds: int) -> None:
    """Embedding and labels to heads, nothing else: two tables, of Adam and of optima."""
    labels = types(cells)
    embedding = np.stack([KNOWN[name] for name in cells.obs_names])
    taught = [
        (Annotation(fraction=fraction).split(cells, seed, "logreg").train, seed)
        for seed in range(seeds)
        for fraction in FRACTIONS
    ]
    for title, ways in WAYS.items():
        runs = {
            name: timed(lambda way=way: [way(embedding[r], labels[r], seed) for r, seed in taught])
            for name, way in ways.items()
        }
        best, quickest = runs["ours"]
        rows: list[list[object]] = [
            [
                "heads alone",
                "CPU s",
                "ratio to ours",
                "a probability differs by",
                "labels that differ",
            ]
        ]
        for name, (found, took) in runs.items():
            far, others = apart(found, best, embedding)
            ratio = f"{took / quickest:.1f}x"
            rows.append([name, f"{took:.3f}", ratio, f"{far:.1e}", f"{others:.3%}"])
        show(f"{len(taught)} heads {title}, compared with ours", rows)


def apart(heads: list[Any], others: list[Any], embedding: np.ndarray) -> tuple[float, float]:
    """The largest difference of a probability of any cell, and the share of labels that differ."""
    far, differ = [], []
    for pair in zip(heads, others, strict=True):
        a, b = (chances(head, embedding) for head in pair)
        far.append(np.abs(a - b).max())
        differ.append((a.argmax(axis=1) != b.argmax(axis=1)).mean())
    return max(far), float(np.mean(differ))


def chances(head: Any, embedding: np.ndarray) -> np.ndarray:
    """cells x classes: probabilities, of ours or of scikit-learn's."""
    if not isinstance(head, Head):
        return head.predict_proba(embedding)
    return softmax(head.scores(embedding), axis=1)


def whole_trials(cells: Cells, seeds: int, ctx: Context) -> None:
    """Split, embed, fit, predict, score: everything but the record."""
    backbone = Cached(Backbone())
    design = [(seed, fraction) for seed in range(seeds) for fraction in FRACTIONS]
    tasks = {fraction: Annotation(fraction=fraction) for fraction in FRACTIONS}

    def all_trials(model: Any) -> list[dict[str, float]]:
        return [tasks[f](model, cells, replace(ctx, seed=s)) for s, f in design]

    rows: list[list[object]] = [["whole trials", "CPU s", "ratio", "accuracy differs by at most"]]
    for theirs, before, ours, now in (
        ("peer: probe as before", Before(backbone), "ours: probe", Probe(backbone)),
        ("peer: head by torch", ByTorch(backbone), "ours: head", ByAdam(backbone)),
    ):
        runs = {}
        for name, model in ((theirs, before), (ours, now)):
            all_trials(model)  # embeddings are remembered, libraries loaded
            print(f"{name}: {sum(PASSED):,} cells through the backbone, in {len(PASSED)} passes")
            PASSED.clear()
            runs[name] = timed(lambda model=model: all_trials(model))
        (was, peer), (said, took) = runs.values()
        pairs = zip(was, said, strict=True)
        far = max(abs(a["test/accuracy"] - b["test/accuracy"]) for a, b in pairs)
        rows.append([theirs, f"{peer:.2f}", "1.0x", ""])
        rows.append([ours, f"{took:.2f}", f"{peer / took:.1f}x", f"{far:.4f}"])
    show(f"{len(design)} trials", rows)


def timed(way: Callable[[], list[Any]]) -> tuple[list[Any], float]:
    """What it gives, and its seconds of CPU."""
    started = time.process_time()
    found = way()
    return found, time.process_time() - started


if __name__ == "__main__":
    main()
