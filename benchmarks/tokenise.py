"""Cells into tokens: ours against the authors' loops over cells, equal output, in one run.

    uv run --extra scgpt python benchmarks/tokenise.py [--data FILE.h5ad] [--vocab FOLDER]

Peers of the ranks: what Geneformer's `TranscriptomeTokenizer` does with cells in memory, restated
from its tokenizer.py and no leaner than that: `tokenize_loom` (V1 and both papers: dense chunks of
512 cells, genes x cells), `tokenize_anndata` (since 2023: sparse chunks). Reading files and writing
a `datasets` table is left out of both. Their sort is unstable, so all sort stably here.

Peers of the bins: scGPT's own `binning`, from its package, over every dense row as its
`Preprocessor` goes over them, and over the values above zero alone as `embed_data`'s `DataCollator`
does. Ours draws its ties within the time, as theirs does; outputs are compared with their draws
given to both. Without --data cells are generated, without --vocab so are tokens and medians.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from common import show
from scipy.sparse import csr_matrix

from trainables.genes import dictionaries
from trainables.genes.binning import quantile_bins, tie_draws
from trainables.genes.ranks import MOST, TARGET_SUM, rank_values
from trainables.networks import scgpt_authors
from trainables.seeds import borrowed

N_BINS, CHUNK = 51, 512


def main() -> None:
    """Measure all, one after the other, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="an .h5ad of counts")
    parser.add_argument("--vocab", type=Path, help="a folder with the authors' dictionaries")
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is shown")
    chosen = parser.parse_args()
    counts, var = read(chosen.data, chosen.cells) if chosen.data else generated(chosen.cells)
    tokens, medians = known(counts, var, chosen.vocab)
    n_counts = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()  # a column of theirs
    names = np.array([f"cell-{i}" for i in range(counts.shape[0])])
    print(f"{counts.shape[0]:,} cells x {counts.shape[1]:,} genes, {counts.nnz:,} values;", end=" ")
    print(f"{(tokens >= 0).sum():,} genes have a token;", end=" ")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")

    def ranks(threads: int) -> Any:
        return rank_values(counts, tokens, medians, n_counts=n_counts, threads=threads)

    def bins(threads: int) -> Any:
        draws = tie_draws(counts, names, 0, threads=threads)
        return quantile_bins(counts, N_BINS, draws, threads=threads)

    peers: dict[str, tuple[Callable[[int], Any], Callable[[], Any]]] = {
        "ranks, tokenize_loom": (ranks, lambda: loom(counts, n_counts, tokens, medians)),
        "ranks, tokenize_anndata": (ranks, lambda: anndata(counts, n_counts, tokens, medians)),
    }
    if binning := authors_binning():
        peers["bins, Preprocessor"] = bins, lambda: every_row(counts, binning)
        peers["bins, DataCollator"] = bins, lambda: above_zero(counts, binning)
    else:
        print("bins are left out, since scgpt is not installed: uv sync --extra scgpt")
    rows: list[list[object]] = [["what", "peer, s", "ours, s", "ratio", "2 threads, s", "ratio"]]
    for what, (ours, peer) in peers.items():
        ours(2)  # compiled once a machine, and kept
        other, wanted = best(peer, chosen.rounds)
        one, said = best(lambda ours=ours: ours(1), chosen.rounds)
        two, again = best(lambda ours=ours: ours(2), chosen.rounds)
        ours_there = said if what.startswith("ranks") else with_their_draws(counts)
        equal(said, again)
        equal(ours_there, wanted)
        ratios = f"{other / one:.1f}x", f"{other / two:.1f}x"
        rows.append([what, f"{other:.2f}", f"{one:.3f}", ratios[0], f"{two:.3f}", ratios[1]])
    show("The same tokens and bins, ours and the peer's (equal output)", rows)


def best(arm: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The least wall seconds of several rounds, and what came out."""
    walls, said = [], None
    for _ in range(rounds):
        start = time.perf_counter()
        said = arm()
        walls.append(time.perf_counter() - start)
    return min(walls), said


def equal(said: Any, wanted: Any) -> None:
    """Raise AssertionError where ours and the peer's differ."""
    ours, peer = (
        np.concatenate(cells(x)) if isinstance(x, tuple | list) else x for x in (said, wanted)
    )
    np.testing.assert_array_equal(ours, peer)


def cells(ranks: Any) -> list[np.ndarray]:
    """Each cell's tokens, the most that the network reads, of a padded table or a list."""
    if isinstance(ranks, tuple):
        return [row[:n] for row, n in zip(*ranks, strict=True)]
    return [cell[:MOST] for cell in ranks]


# ---- Geneformer's -----------------------------------------------------------------------------


def by_rank(values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Theirs is `rank_genes`."""
    return tokens[np.argsort(-values, kind="stable")]


def loom(counts: csr_matrix, n_counts: np.ndarray, tokens: Any, medians: Any) -> list[np.ndarray]:
    """Genes x cells, a dense chunk at a time; `toarray` stands for what they read of a file."""
    known = np.flatnonzero(tokens >= 0)
    tokens, factors = tokens[known], medians[known]
    cells = []
    for first in range(0, counts.shape[0], CHUNK):
        view = counts[first : first + CHUNK].T.toarray()[known, :]
        view = view / n_counts[first : first + CHUNK] * TARGET_SUM / factors[:, None]
        for cell in range(view.shape[1]):
            values = view[:, cell]
            there = np.nonzero(values)[0]
            cells.append(by_rank(values[there], tokens[there]))
    return cells


def anndata(
    counts: csr_matrix, n_counts: np.ndarray, tokens: Any, medians: Any
) -> list[np.ndarray]:
    """Cells x genes, a sparse chunk at a time."""
    known = np.flatnonzero(tokens >= 0)
    tokens, factors = tokens[known], medians[known]
    cells = []
    for first in range(0, counts.shape[0], CHUNK):
        view = counts[first : first + CHUNK][:, known].astype(np.float64)
        view = csr_matrix(view / n_counts[first : first + CHUNK, None] * TARGET_SUM / factors)
        for cell in range(view.shape[0]):
            cells.append(by_rank(view[cell].data, tokens[view[cell].indices]))
    return cells


# ---- scGPT's ----------------------------------------------------------------------------------


def authors_binning() -> Any:
    """`scgpt.preprocess.binning`, None where the package is not installed.

    Without running `scgpt/__init__.py`, whose torchtext no present torch can load.
    """
    place = scgpt_authors.root()
    if place is None:
        return None
    bare: Any = ModuleType("scgpt")
    bare.__path__, bare.logger = [str(place)], logging.getLogger("scgpt")
    sys.modules["scgpt"] = bare
    return importlib.import_module("scgpt.preprocess").binning


def every_row(counts: csr_matrix, binning: Any) -> np.ndarray:
    """`Preprocessor.__call__`, its sixth step."""
    with borrowed(0, "dice"):
        rows = np.stack([binning(row, N_BINS) for row in counts.toarray()])
    return rows[rows > 0]


def above_zero(counts: csr_matrix, binning: Any) -> np.ndarray:
    """`DataCollator`, to which `embed_data` gives what is not zero."""
    with borrowed(0, "dice"):
        cells = np.split(counts.data, counts.indptr[1:-1])
        return np.concatenate([binning(cell, N_BINS) for cell in cells if len(cell)])


def with_their_draws(counts: csr_matrix) -> np.ndarray:
    """Ours, where numpy's global generator throws the dice."""
    with borrowed(0, "dice"):
        return quantile_bins(counts, N_BINS, np.random.rand(counts.nnz))  # noqa: NPY002


# ---- cells ------------------------------------------------------------------------------------


def known(counts: csr_matrix, var: Any, vocab: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Each column's token and median."""
    if vocab:
        found = dictionaries.read(vocab).found(var, source=str(vocab))
        print(found.report)
        return found.tokens, found.medians
    draws = np.random.default_rng(1)
    tokens = draws.permutation(counts.shape[1]) + 2
    tokens[draws.random(len(tokens)) < 0.1] = -1
    return tokens, draws.lognormal(size=len(tokens))


def read(path: Path, n_cells: int) -> tuple[csr_matrix, Any]:
    """Counts of a file's first cells (more than it has: again from the first), and its genes."""
    import anndata as ad

    adata = ad.read_h5ad(path)
    held = csr_matrix(adata.layers.get("counts", adata.X))
    if not (held.data == np.rint(held.data)).all():
        raise SystemExit(f"{path} holds no counts")
    rows = np.resize(np.arange(held.shape[0]), n_cells)
    return csr_matrix(held[rows], dtype=np.float32).sorted_indices(), adata.var


def generated(n_cells: int) -> tuple[csr_matrix, Any]:
    """20,000 genes of which a cell expresses about 1,400."""
    draws = np.random.default_rng(0)
    places = np.unique(draws.integers(n_cells * 20_000, size=n_cells * 1_400))
    values = draws.geometric(0.5, len(places)).astype(np.float32)
    where = places // 20_000, places % 20_000
    return csr_matrix((values, where), shape=(n_cells, 20_000)).sorted_indices(), None


if __name__ == "__main__":
    main()
