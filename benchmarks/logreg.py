"""A few-shot sweep of logistic regression: the papers' recipe against ours, on the same cells.

    uv run python benchmarks/logreg.py [--data FILE.h5ad] [--genes 2000] [--seeds 10]

The papers' recipe is dense input, 8 C x 5 folds of one-vs-rest liblinear for every fraction and
seed, one process on one core; ours is `logreg` as it comes, with 2 CPUs. Rows are drawn as the
papers drew them: one test set, stratified shares of the rest, all of it at fraction 1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # trials never get more BLAS than they have CPUs
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate, train_test_split
from sklearn.multiclass import OneVsRestClassifier

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.models.logreg import LogReg
from trainables.paper_splits import paper_split
from trainables.protocols import Cells, Context
from trainables.store import Store
from trainables.userdata import UserFile

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0)
CS = LogReg().Cs


def main() -> None:
    """Measure, interleaved trial by trial, and print the ratios."""
    asked = arguments()
    warnings.simplefilter("ignore")
    cells = load(asked.data, asked.genes, asked.cells)
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    marks = np.full(len(labels), "train")
    held = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=labels)
    marks[held[1]] = "test"
    print(f"{cells.n_obs} cells x {cells.n_vars} genes, {len(set(labels))} classes; load", end=" ")
    print(f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("fraction seed | peer: C acc wall cpu | fast: same (seconds)")
    spent = {"peer": np.zeros(2), "fast": np.zeros(2)}
    everyone = np.arange(len(labels))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        ours(cells, everyone, everyone[:5], 0, Store(Path(folder) / "warm"), C=0.01)  # compiles
        for seed in range(asked.seeds):
            for fraction in asked.fractions:
                split = paper_split(labels, seed, fraction=fraction, marks=marks)
                line = f"{fraction:8} {seed:4}"
                for name, call in {
                    "peer": partial(peer, cells, split.train, split.test, seed),
                    "fast": partial(ours, cells, split.train, split.test, seed, store),
                }.items():
                    (C, said), took = timed(call)
                    spent[name] += took
                    accuracy = (said == labels[split.test]).mean()
                    line += f" | {C:7g} {accuracy:.4f} {took[0]:6.1f} {took[1]:6.1f}"
                print(line, flush=True)
    for name, (wall, cpu) in spent.items():
        gain = spent["peer"] / spent[name]
        print(f"{name:6} {wall:8.1f} s wall, {cpu:8.1f} s CPU: {gain[0]:.1f}x, {gain[1]:.1f}x")


def arguments() -> argparse.Namespace:
    """What to measure on; the defaults take minutes, --seeds 10 on all genes takes hours."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--data", type=Path, help="an .h5ad; default: pbmc68k_reduced")
    parser.add_argument("--genes", type=int, help="only the most often expressed")
    parser.add_argument("--cells", type=int, help="only so many, drawn with seed 0")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS)
    return parser.parse_args()


def load(file: Path | None, genes: int | None, cells: int | None) -> Cells:
    """Prepared cells, fewer if asked."""
    source = catalog.dataset("pbmc68k_reduced") if file is None else UserFile(file)
    with tempfile.TemporaryDirectory() as folder:
        prepared: Any = open_cells(prepare(source, Store(Path(folder)))).copy()  # type: ignore
    if cells:
        drawn = np.random.default_rng(0).permutation(prepared.n_obs)[:cells]
        prepared = prepared[np.sort(drawn)].copy()
    if genes:
        often = np.argsort(-np.asarray((prepared.X > 0).sum(axis=0)).ravel(), kind="stable")
        prepared = prepared[:, np.sort(often[:genes])].copy()
    return prepared


def timed(call: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """What it returns, and its seconds by the wall clock and of all cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, np.array([time.perf_counter() - wall, time.process_time() - cpu])


def peer(cells: Cells, train: np.ndarray, test: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """`scGPT_baselines_LR.py`: dense cells, every C by cross_validate, then the final fit."""
    x = cells.X[train].toarray()
    y = cells.obs["cell_type"].astype(str).to_numpy()[train]

    def model(C: float, state: int) -> Any:
        base = LogisticRegression(l1_ratio=1, C=C, solver="liblinear", random_state=state)
        return OneVsRestClassifier(base)

    scores = [
        cross_validate(model(C, 0), x, y, scoring=["accuracy"])["test_accuracy"].mean() for C in CS
    ]
    C = CS[int(np.argmax(scores))]
    return C, model(C, seed).fit(x, y).predict(cells.X[test].toarray())


def ours(
    cells: Cells,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    store: Store,
    C: float | None = None,
) -> tuple[float, np.ndarray]:
    """A trial of `logreg` with 2 CPUs, with the store that the sweep's trials share."""
    seen = rows(cells, train, labels=True)
    held = rows(cells, test, labels=False)
    ctx = Context(seed=seed, scratch=store.root, store=store, cpus=2)
    said = LogReg(C=C).fit_predict(seen, held[:1].copy(), held, ctx)  # type: ignore[index]
    return said.notes["C"], said.test


if __name__ == "__main__":
    main()
