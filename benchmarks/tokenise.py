"""Cells into tokens: ours against a loop over cells, equal output, in one run.

    uv run python benchmarks/tokenise.py [--data FILE.h5ad] [--vocab FOLDER] [--cells 5000]

The peers are plain restatements, a cell at a time, of what the authors' code does: Geneformer's
`TranscriptomeTokenizer` (divide, multiply, divide by medians, sort the genes that are not zero) and
scGPT's `binning` (the quantiles of the values above zero, then `digitize`). Theirs sorts unstably
and draws ties; here both sides keep the order of genes and take the highest bin, so that outputs
can be compared. Without --data cells are generated, without --vocab so are tokens and medians.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import show
from scipy.sparse import csr_matrix

from trainables.genes import dictionaries
from trainables.genes.binning import quantile_bins
from trainables.genes.ranks import MOST, TARGET_SUM, rank_values

N_BINS = 51


def main() -> None:
    """Measure both, one after the other, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="an .h5ad of counts")
    parser.add_argument("--vocab", type=Path, help="a folder with the authors' dictionaries")
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is shown")
    chosen = parser.parse_args()
    counts, var = read(chosen.data, chosen.cells) if chosen.data else generated(chosen.cells)
    tokens, medians = known(counts, var, chosen.vocab)
    print(f"{counts.shape[0]:,} cells x {counts.shape[1]:,} genes, {counts.nnz:,} values;", end=" ")
    print(f"{(tokens >= 0).sum():,} genes have a token;", end=" ")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    ours = {
        "Geneformer's ranks": lambda: rank_values(counts, tokens, medians),
        "scGPT's quantile bins": lambda: quantile_bins(counts, N_BINS),
    }
    peers = {
        "Geneformer's ranks": lambda: ranks_by_cell(counts, tokens, medians),
        "scGPT's quantile bins": lambda: bins_by_cell(counts),
    }
    quantile_bins(counts[:2], N_BINS)  # compiled once a machine, and kept
    rows: list[list[object]] = [["what", "peer, s", "ours, s", "ratio", "ratio of CPU time"]]
    for what in ours:
        (mine, mine_cpu, said), (other, other_cpu, wanted) = (
            best(arm, chosen.rounds) for arm in (ours[what], peers[what])
        )
        equal(said, wanted)
        ratios = f"{other / mine:.1f}x", f"{other_cpu / mine_cpu:.1f}x"
        rows.append([what, f"{other:.2f}", f"{mine:.3f}", *ratios])
    show("The same tokens and bins, ours and the peer's (equal output)", rows)


def best(arm: Callable[[], Any], rounds: int) -> tuple[float, float, Any]:
    """The least wall and CPU seconds of several rounds, and what came out."""
    walls, cpus, said = [], [], None
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        said = arm()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus), said


def equal(said: Any, wanted: Any) -> None:
    """Raise AssertionError where ours and the peer's differ."""
    for ours, peer in zip(
        *((x if isinstance(x, tuple) else (x,)) for x in (said, wanted)), strict=True
    ):
        np.testing.assert_array_equal(ours, peer)


def ranks_by_cell(
    counts: csr_matrix, tokens: np.ndarray, medians: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Geneformer's rank-value encoding, a dense cell at a time, as tokenizer.py has it."""
    has_token = np.flatnonzero(tokens >= 0)
    cells = []
    for row in range(counts.shape[0]):
        whole = counts[row].toarray().ravel()
        values = whole[has_token].astype(np.float64) / whole.sum() * TARGET_SUM
        values = values / medians[has_token]
        there = np.flatnonzero(values)
        order = np.argsort(-values[there], kind="stable")
        cells.append(tokens[has_token][there][order][:MOST])
    lengths = np.array([len(cell) for cell in cells])
    ids = np.zeros((len(cells), lengths.max(initial=0)), dtype=np.int32)
    for row, cell in enumerate(cells):
        ids[row, : len(cell)] = cell
    return ids, lengths


def bins_by_cell(counts: csr_matrix) -> np.ndarray:
    """scGPT's bins, a dense cell at a time, as preprocess.py has them."""
    found = []
    for row in range(counts.shape[0]):
        whole = counts[row].toarray().ravel()
        there = np.flatnonzero(whole)
        if len(there):
            edges = np.quantile(whole[there], np.linspace(0, 1, N_BINS - 1))
            found.append(np.digitize(whole[there], edges))
    return np.concatenate(found).astype(np.int16)


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
