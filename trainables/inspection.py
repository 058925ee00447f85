"""Data card of prepared cells: what to know of them before trusting a number."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from trainables.cells import decision
from trainables.concerns import warnings
from trainables.duplicates import exact_duplicates, near_duplicates
from trainables.intake.genes import ENSEMBL
from trainables.intake.texts import matching
from trainables.matrices import mapped_blocks
from trainables.protocols import Cells

MOST_PAIRED = 100_000
"""Cells above which near-duplicates are not looked for: the time grows with the square."""


def inspect(cells: Cells, name: str) -> dict[str, Any]:
    """The data card of prepared cells, as plain values.

    Matrices are read in blocks: memory does not grow with the number of values.
    """
    taken = decision(cells)
    labels, batches = column(cells, "cell_type"), column(cells, "batch")
    values = cells.layers.get("counts", cells.X)
    totals, largest, ever = sums(values)
    detected = np.diff(values.indptr)
    first = np.arange(cells.n_obs)
    if "copy_of" in cells.obs:
        first = cells.obs["copy_of"].to_numpy()
    first = np.where(detected == 0, -1, first)
    card: dict[str, Any] = {
        "name": name,
        "sha256": cells.uns["gauntlet"]["sha256"],
        "cells": int(cells.n_obs),
        "genes": int(cells.n_vars),
        "values": asdict(taken.values),
        "decision": taken.sentence,
        "species": taken.species,
        "nonzero": float(values.nnz / (cells.n_obs * cells.n_vars)),
        "largest": largest,
        "library_size": spread(totals),
        "genes_per_cell": spread(detected),
        "cells_without_counts": int((detected == 0).sum()),
        "genes_without_counts": int(cells.n_vars - ever.sum()),
        "label_key": None if labels is None else taken.label_key or "cell_type",
        "labels": None if labels is None else sizes(labels),
        "unlabelled": taken.cells_left_out,
        "batch_key": None if batches is None else taken.batch_key or "batch",
        "batches": None if batches is None else sizes(batches),
        "confounding": None,
        "gene_names": gene_names(cells.var_names),
        "exact_duplicates": exact_duplicates(first, labels),
        "near_duplicates": None,
        "notes": list(taken.notes),
    }
    if cells.n_obs <= MOST_PAIRED:
        card["near_duplicates"] = near_duplicates(cells.X, first, labels)
    if labels is not None and batches is not None:
        card["confounding"] = confounding(labels, batches)
    return card | {"warnings": warnings(card)}


def column(cells: Cells, key: str) -> pd.Series | None:
    """A column of `obs` as text, or None where there is none."""
    if key not in cells.obs:
        return None
    return cells.obs[key].astype(str).reset_index(drop=True)


def sums(values: sparse.csr_matrix) -> tuple[np.ndarray, float, np.ndarray]:
    """Sum of each cell, the largest value, and a mask of the genes that occur in any cell."""
    totals, largest = [], 0.0
    ever = np.zeros(values.shape[1], dtype=bool)
    for block in mapped_blocks(values):
        totals.append(np.asarray(block.sum(axis=1)).ravel())
        largest = max(largest, float(block.data.max(initial=0.0)))
        ever[block.indices] = True
    return np.concatenate(totals), largest, ever


def spread(numbers: np.ndarray) -> dict[str, Any]:
    """Smallest, median and largest, and a histogram over 40 steps of the logarithm."""
    shown = np.log10(np.maximum(np.nan_to_num(numbers.astype(float)), 1e-3))
    counts, edges = np.histogram(shown, bins=40)
    return {
        "min": float(np.min(numbers)),
        "median": float(np.median(numbers)),
        "max": float(np.max(numbers)),
        "histogram": {"log10_edges": edges.round(4).tolist(), "cells": counts.tolist()},
    }


# ---- labels and batches -----------------------------------------------------------------------


def sizes(column: pd.Series) -> dict[str, int]:
    """Cells of each category, the largest first."""
    return {str(name): int(n) for name, n in column.value_counts().items()}


def confounding(labels: pd.Series, batches: pd.Series) -> dict[str, Any]:
    """How far label and batch can be told apart.

    Cramer's V is 0 when every batch has the same mixture and 1 when one decides the other.
    """
    table = pd.crosstab(labels, batches)
    table = table.loc[table.sum(axis=1).sort_values(ascending=False).index]
    alone = [str(label) for label in table.index if (table.loc[label] > 0).sum() == 1]
    return {
        "table": {str(k): {str(b): int(n) for b, n in row.items()} for k, row in table.iterrows()},
        "cramers_v": cramers_v(table.to_numpy()),
        "labels_in_one_batch": alone if table.shape[1] > 1 else [],
    }


def cramers_v(table: np.ndarray) -> float | None:
    """Cramer's V of a table of counts; None where one side has a single category.

    >>> cramers_v(np.array([[5, 0], [0, 5]])), cramers_v(np.array([[5, 5], [5, 5]]))
    (1.0, 0.0)
    """
    smaller = min(table.shape) - 1
    if smaller < 1:
        return None
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    chi2 = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / (total * smaller)))


# ---- genes ------------------------------------------------------------------------------------


def gene_names(names: pd.Index) -> dict[str, Any]:
    """What genes are called, and which names occur twice."""
    text = [str(name) for name in names]
    ensembl = int(matching(np.array(text, dtype=object), ENSEMBL).sum())
    share = ensembl / len(text)
    repeated = pd.Index(text)[pd.Index(text).duplicated()].unique()
    kind = "Ensembl ids" if share > 0.9 else "symbols" if share < 0.1 else "mixed"
    return {
        "kind": kind,
        "ensembl": ensembl,
        "repeated": len(repeated),
        "repeated_examples": [str(name) for name in repeated[:5]],
        "examples": text[:5],
    }
