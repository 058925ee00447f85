"""What one should know of cells before trusting a number that was computed on them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from trainables.concerns import warnings
from trainables.duplicates import exact_duplicates, near_duplicates, originals
from trainables.preparing import LOG_CEILING

ENSEMBL = re.compile(r"ENS[A-Z]{0,4}G\d{11}(\.\d+)?$")


def inspect(
    cells: Any, name: str, label_key: str | None = None, batch_key: str | None = None
) -> dict[str, Any]:
    """The data card of an AnnData, as plain values.

    `label_key` and `batch_key` are columns of `obs`, or None where there is no such thing. Raises
    ValueError when there are no cells, no genes or no numbers.
    """
    if cells.X is None or 0 in cells.shape:
        raise ValueError(
            f"{name}: the matrix is empty ({cells.n_obs} cells x {cells.n_vars} genes)"
        )
    values, where = expression(cells)
    kind = kind_of(values)
    labels = categories(cells.obs[label_key]) if label_key else None
    batches = categories(cells.obs[batch_key]) if batch_key else None
    library = np.asarray(values.sum(axis=1)).ravel()
    detected = np.diff(values.indptr)
    original = originals(values)
    card: dict[str, Any] = {
        "name": name,
        "cells": int(cells.n_obs),
        "genes": int(cells.n_vars),
        "values": kind,
        "values_from": where,
        "nonzero": float(values.nnz / (cells.n_obs * cells.n_vars)),
        "largest": float(values.data.max(initial=0.0)),
        "library_size": spread(library),
        "genes_per_cell": spread(detected),
        "cells_without_counts": int((detected == 0).sum()),
        "genes_without_counts": int(cells.n_vars - len(np.unique(values.indices))),
        "label_key": label_key,
        "labels": None if labels is None else sizes(labels),
        "unlabelled": 0 if labels is None else int(labels.isna().sum()),
        "batch_key": batch_key,
        "batches": None if batches is None else sizes(batches),
        "confounding": None,
        "gene_names": gene_names(cells.var_names),
        "exact_duplicates": exact_duplicates(original, labels),
        "near_duplicates": None,
        "notes": [str(note) for note in cells.uns.get("notes", [])],
    }
    if labels is not None and batches is not None:
        card["confounding"] = confounding(labels, batches)
    if kind in ("counts", "log-normalised"):
        card["near_duplicates"] = near_duplicates(profiles(values, kind), original, labels)
    return card | {"warnings": warnings(card)}


# ---- values -----------------------------------------------------------------------------------


def expression(cells: Any) -> tuple[sparse.csr_matrix, str]:
    """The matrix to look at and where it is: raw counts where there are any, else X."""
    if "counts" in cells.layers:
        return csr(cells.layers["counts"]), "layers['counts']"
    values = csr(cells.X)
    if cells.raw is not None and list(cells.raw.var_names) == list(cells.var_names):
        raw = csr(cells.raw.X)
        if kind_of(values) != "counts" and kind_of(raw) == "counts":
            return raw, "raw.X"
    return values, "X"


def csr(values: Any) -> sparse.csr_matrix:
    """Any matrix as CSR without stored zeros; the caller's own stays as it is."""
    matrix = sparse.csr_matrix(values, copy=True)
    if not np.issubdtype(matrix.dtype, np.number):
        raise ValueError(f"the matrix holds {matrix.dtype} values; it must hold numbers")
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def kind_of(values: sparse.csr_matrix) -> str:
    """What a matrix holds, in a word or two."""
    data = values.data
    if not data.size:
        return "nothing but zeros"
    if not np.isfinite(data).all():
        return "NaN or infinite values"
    if data.min() < 0:
        return "scaled"
    if np.array_equal(data, np.round(data)):
        return "counts"
    return "log-normalised" if data.max() <= LOG_CEILING else "neither counts nor logged"


def profiles(values: sparse.csr_matrix, kind: str) -> sparse.csr_matrix:
    """log1p of counts scaled to 1e4 a cell, at length one; logged values as they are."""
    logged = values.astype(np.float32)
    if kind == "counts":
        library = np.maximum(np.asarray(values.sum(axis=1)).ravel(), 1)
        logged.data = np.log1p(logged.data * np.repeat(1e4 / library, np.diff(values.indptr)))
    norms = np.sqrt(np.asarray(logged.multiply(logged).sum(axis=1)).ravel())
    logged.data = logged.data / np.repeat(np.maximum(norms, 1e-12), np.diff(logged.indptr))
    return logged.astype(np.float32)


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


def categories(column: pd.Series) -> pd.Series:
    """A column as text, with nothing where it is empty."""
    text = column.astype(object).where(column.notna(), None)
    text = text.map(lambda value: None if value is None else str(value).strip())
    return text.where(text.map(lambda value: bool(value)), None).reset_index(drop=True)


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
    ensembl = sum(bool(ENSEMBL.match(name)) for name in text)
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
