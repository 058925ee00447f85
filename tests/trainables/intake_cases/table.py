"""The table of files, and the cells that they are made of, so that the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.intake.gene_words import LANDMARKS

N_CELLS, N_GENES = 240, 1500


@cache
def made() -> Any:
    """Counts of 240 cells in four types and two batches, on 1,500 genes with real symbols."""
    rng = np.random.default_rng(0)
    types, batches = np.arange(N_CELLS) % 4, np.arange(N_CELLS) // 2 % 2
    base = rng.gamma(0.35, 1.0, N_GENES) + 0.01
    markers = rng.gamma(0.5, 2.0, (4, N_GENES)) + 0.2
    rates = base * markers[types] * rng.lognormal(0, 0.2, (2, N_GENES))[batches]
    depth = rng.lognormal(7.5, 0.35, (N_CELLS, 1))
    counts = rng.poisson(depth * rates / rates.sum(axis=1, keepdims=True)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "cell_type": [f"{'abcd'[kind]} cells" for kind in types],
            "batch": [f"batch {number}" for number in batches],
        },
        index=[f"CELL{i}-1" for i in range(N_CELLS)],
    )
    symbols = sorted(LANDMARKS)
    symbols += [f"ZNF{9000 + i}" for i in range(N_GENES - len(symbols))]
    order = rng.permutation(N_GENES)
    var = pd.DataFrame(index=[symbols[i] for i in order])
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)


def cells(matrix: Any = None, genes: Any = None) -> Any:
    """A copy of the made cells, with another X of the same shape, and of some genes only."""
    copy = made().copy()
    if matrix is not None:
        copy.X = matrix
    return copy if genes is None else copy[:, genes].copy()


def counts() -> sparse.csr_matrix:
    return made().X.copy()


def scaled(target: Any = 1e4, matrix: Any = None) -> sparse.csr_matrix:
    """Counts per so many in each cell."""
    matrix = sparse.csr_matrix(counts() if matrix is None else matrix, dtype=np.float64)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    target = np.median(sums) if target == "median" else target
    return sparse.csr_matrix(sparse.diags(target / np.maximum(sums, 1)) @ matrix)


def logged(target: Any = 1e4, base: float = np.e, matrix: Any = None) -> sparse.csr_matrix:
    """log(1 + counts per so many) in float32, as packages write it."""
    found = scaled(target, matrix)
    found.data = np.log1p(found.data) / np.log(base)
    return found.astype(np.float32)


def zscores(matrix: Any = None) -> np.ndarray:
    """Genes brought to mean 0 and standard deviation 1."""
    dense = logged().toarray() if matrix is None else matrix.toarray()
    found = (dense - dense.mean(axis=0)) / (dense.std(axis=0) + 1e-9)
    return np.clip(found, None, 10).astype(np.float32)


def variable(number: int = 400) -> np.ndarray:
    """Numbers of genes that vary much, in their order."""
    return np.sort(np.argsort(-logged().toarray().var(axis=0))[:number])


def with_layer(name: str, layer: Any, x: Any = None) -> Any:
    found = cells(zscores() if x is None else x)
    found.layers[name] = layer
    return found


def with_raw(raw: Any, x: Any = None, genes: Any = None) -> Any:
    """X of some genes beside .raw."""
    found = cells(zscores() if x is None else x)
    found.raw = raw
    return found if genes is None else found[:, genes].copy()


def with_antibodies() -> Any:
    adt = sparse.csr_matrix(
        np.random.default_rng(0).poisson(90, (made().n_obs, 20)), dtype=np.float32
    )
    both = sparse.csr_matrix(sparse.hstack([counts(), adt]))
    var = made().var.copy()
    var["feature_types"] = "Gene Expression"
    for i in range(20):
        var.loc[f"CD{i}_prot", "feature_types"] = "Antibody Capture"
    return ad.AnnData(both, obs=made().obs.copy(), var=var)


@dataclass(frozen=True)
class Case:
    """A file, what a user types, and what is expected."""

    build: Callable[[], Any]
    expected: str
    """"counts", "lognorm" (X alone is right), "refused", "ids" (genes go by other names)
    or "corrected" (counts that are said to be not raw)."""
    says: str
    """Part of a note, or of the sentence that refuses."""
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-4


CASES: dict[str, Case] = {}


def case(
    expected: str, says: str = "", tolerance: float = 1e-4, **options: Any
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Enter a file into the table; options are fields of `UserFile`."""
    options = {"label_key": "cell_type", "batch_key": "batch"} | options

    def enter(build: Callable[[], Any]) -> Callable[[], Any]:
        CASES[build.__name__] = Case(build, expected, says, options, tolerance)
        return build

    return enter
