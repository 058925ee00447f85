"""What does each of several concurrent trials add in memory on one prepared data set?

Ours: every process opens the prepared cells and takes its own training rows. The rows of the table
say how far it goes: the view alone, a pass over its values in blocks (`cells.blocks`), a zero-shot
trial's embedding of all cells, and `train.X`, which gathers the rows into memory. The peer: every
process reads the h5ad itself. Memory is USS, measured while all processes hold what they have.

    uv run python benchmarks/memory.py --cells 20000 --processes 4
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import folder_mb, generate, show, uss_mb

SHARE = 0.7
"""Training rows among all, as the annotation task splits them."""


def view(home: Path, seed: int) -> Any:
    """A trial's training cells, before anything asks for their values."""
    from trainables.cells import open_cells, rows

    cells = open_cells(home)
    chosen = np.random.default_rng(seed).permutation(cells.n_obs)
    return rows(cells, np.sort(chosen[: int(SHARE * cells.n_obs)]), labels=True)


def streamed(home: Path, seed: int) -> Any:
    """The same, after every value went by once."""
    from trainables.cells import blocks

    train = view(home, seed)
    return train, sum(block.X.sum(axis=0) for block in blocks(train))


def gathered(home: Path, seed: int) -> Any:
    """The same, with its values in memory, as liblinear wants them."""
    train = view(home, seed)
    return train, train.X


def embedded(home: Path, seed: int) -> Any:
    """A zero-shot trial of `pca`: its embedding of all cells, and nothing of them copied."""
    from trainables.cells import open_cells, rows
    from trainables.models.pca import PCA
    from trainables.protocols import Context
    from trainables.store import Store

    cells = open_cells(home)
    everyone = rows(cells, np.arange(cells.n_obs), labels=False)
    ctx = Context(seed=seed, scratch=home, store=Store(home))
    return everyone, PCA(n_components=20).embed(everyone, ctx)


def peer(path: Path, seed: int) -> Any:
    """The whole file, in every process."""
    import anndata as ad

    return ad.read_h5ad(path)


def hold(way: Callable[[Path, int], Any], path: Path, seed: int, barrier: Any, found: Any) -> None:
    """Do it, and say what it added, while all the others hold theirs."""
    import anndata  # noqa: F401
    import sklearn.decomposition  # noqa: F401

    import trainables.cells  # noqa: F401

    before = uss_mb()
    held = way(path, seed)
    barrier.wait()
    found.put(uss_mb() - before)
    barrier.wait()
    del held


def added(way: Callable[[Path, int], Any], path: Path, processes: int) -> float:
    """MB that one of these processes adds: the median over all."""
    spawn = multiprocessing.get_context("spawn")
    barrier, found = spawn.Barrier(processes), spawn.Queue()
    started = [
        spawn.Process(target=hold, args=(way, path, seed, barrier, found), daemon=True)
        for seed in range(processes)
    ]
    for process in started:
        process.start()
    values = [found.get(timeout=600) for _ in started]
    for process in started:
        process.join()
    return median(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--density", type=float, default=0.07)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--scratch", type=Path, help="where files go meanwhile")
    asked = parser.parse_args()

    from trainables.cells import prepare
    from trainables.store import Store
    from trainables.userdata import UserFile

    with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
        path = Path(folder) / "cells.h5ad"
        generate(path, asked.cells, asked.genes, asked.density)
        home = prepare(UserFile(path), Store(Path(folder) / "store"))
        size = folder_mb(home)
        theirs = added(peer, path, asked.processes)
        ways = (view, streamed, embedded, gathered)
        mine = {way: added(way, home, asked.processes) for way in ways}
    rows = [
        [f"ours, {way.__name__}", f"{mb:.0f}", f"{mb / size:.1%}", f"{mb / theirs:.2f}"]
        for way, mb in mine.items()
    ]
    show(
        f"{asked.processes} processes on {asked.cells:,} cells x {asked.genes:,} genes,"
        f" {size:.0f} MB prepared",
        [
            ["", "USS added by each, MB", "of the prepared size", "ratio to the peer"],
            *rows,
            ["peer, h5ad", f"{theirs:.0f}", f"{theirs / size:.1%}", "1.00"],
        ],
    )


if __name__ == "__main__":
    main()
