"""What one should know of cells before trusting a number that was computed on them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

TINY = 10
"""A class of fewer cells cannot be split into train, validation and test and still be scored."""
SHALLOW = 500
"""Counts a cell, in the median, below which cell types blur."""
FEW_GENES = 1000
NEAR = 0.9999
"""Cosine of two log-normalised profiles above which we call them near-duplicates."""
LOG_CEILING = 30.0
"""No natural or base-2 log1p of scaled counts is above this."""
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


# ---- duplicates -------------------------------------------------------------------------------


def originals(values: sparse.csr_matrix) -> np.ndarray:
    """For each row the first row with the very same values; -1 for rows without any.

    >>> originals(sparse.csr_matrix([[1, 0], [0, 2], [1, 0], [0, 0]])).tolist()
    [0, 1, 0, -1]
    """
    first: dict[bytes, int] = {}
    found = np.full(values.shape[0], -1)
    for row in range(values.shape[0]):
        inside = slice(values.indptr[row], values.indptr[row + 1])
        if inside.start < inside.stop:
            key = hashlib.blake2b(values.indices[inside].tobytes(), digest_size=16)
            key.update(values.data[inside].tobytes())
            found[row] = first.setdefault(key.digest(), row)
    return found


def exact_duplicates(original: np.ndarray, labels: pd.Series | None) -> dict[str, Any]:
    """Cells whose expression is, value by value, that of an earlier cell.

    `pairs` are the first ten, each an original and its repeat.
    """
    repeats = np.flatnonzero((original >= 0) & (original != np.arange(len(original))))
    pairs = [(int(original[row]), int(row)) for row in repeats]
    return {"cells": len(pairs), "pairs": pairs[:10], "other_label": disagreeing(pairs, labels)}


def near_duplicates(
    rows: sparse.csr_matrix,
    original: np.ndarray,
    labels: pd.Series | None,
    threshold: float = NEAR,
) -> dict[str, Any]:
    """Cells whose profile has a cosine above `threshold` with an earlier one's, but is not equal.

    `rows` have length one; exact repeats are left out. A random projection to 64 dimensions
    nominates pairs and the full profiles decide: what is reported is exact, and about one pair in
    a million is missed.
    """
    pairs = []
    alone = np.flatnonzero(original == np.arange(len(original)))
    for a, b in nominated(rows[alone], threshold):
        a, b = alone[a], alone[b]
        cosine = np.asarray(rows[a].multiply(rows[b]).sum(axis=1)).ravel()
        close = cosine > threshold
        pairs += [(int(min(p)), int(max(p))) for p in zip(a[close], b[close], strict=True)]
    pairs.sort()
    return {
        "threshold": threshold,
        "cells": len({later for _, later in pairs}),
        "pairs": pairs[:10],
        "other_label": disagreeing(pairs, labels),
    }


def nominated(
    rows: sparse.csr_matrix, threshold: float, dimensions: int = 64, block: int = 2048
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows close in a random projection, block by block.

    Rows are sorted along one direction in which close ones cannot be far apart, so that each
    block meets its neighbourhood only, and no n x n matrix ever exists.
    """
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((rows.shape[1], dimensions)).astype(np.float32)
    points = np.asarray(rows @ directions, dtype=np.float32) / np.float32(np.sqrt(dimensions))
    reach = float(np.sqrt(2 * (1 - threshold)))  # how far apart such profiles are at most
    # along one Gaussian direction a distance grows by N(0, 1): six of them miss one in 1e8
    order = np.argsort(points[:, 0])
    line = points[order, 0] * np.sqrt(dimensions)
    within = (1.5 * reach) ** 2  # 64 dimensions keep a distance to +- 9 %
    for start in range(0, len(order), block):
        stop = min(start + block, len(order))
        end = int(np.searchsorted(line, line[stop - 1] + 6 * reach, side="right"))
        here = points[order[start:stop]]
        for other in range(start, end, block):
            last = min(other + block, end)
            there = points[order[other:last]]
            distance = squared(here)[:, None] + squared(there)[None] - 2 * here @ there.T
            i, j = np.nonzero(distance <= within)
            i, j = order[i + start], order[j + other]
            once = i < j if other == start else i != j  # within a block every pair is met twice
            if once.any():
                yield i[once], j[once]


def squared(points: np.ndarray) -> np.ndarray:
    """The squared length of each row."""
    return np.einsum("ij,ij->i", points, points)


def disagreeing(pairs: list[tuple[int, int]], labels: pd.Series | None) -> int:
    """How many pairs carry two different labels."""
    if labels is None:
        return 0
    known = labels.to_numpy()
    return sum(known[a] != known[b] for a, b in pairs)


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


# ---- in words ---------------------------------------------------------------------------------


def warnings(card: dict[str, Any]) -> list[str]:
    """What a reader should worry about, a sentence each, the gravest first."""
    return [
        *warnings_of_values(card),
        *warnings_of_labels(card),
        *warnings_of_duplicates(card),
        *warnings_of_genes(card),
    ]


def warnings_of_values(card: dict[str, Any]) -> Iterator[str]:
    kind, where = card["values"], card["values_from"]
    if kind == "log-normalised":
        yield f"{where} is logged and there are no raw counts: models that want counts cannot run"
    elif kind != "counts":
        yield f"{where} holds {kind} values: give raw counts or log-normalised ones"
    median = card["library_size"]["median"]
    if kind == "counts" and median < SHALLOW:
        yield f"shallow: half of the cells have fewer than {median:,.0f} counts"
    if n := card["cells_without_counts"]:
        yield f"{n:,} cells have no counts at all"


def warnings_of_labels(card: dict[str, Any]) -> Iterator[str]:
    if card["labels"] is None:
        yield "there are no cell types, so nothing can be annotated or scored by type"
        return
    if card["unlabelled"]:
        yield f"{card['unlabelled']:,} cells have no label and would be left out"
    tiny = {name: n for name, n in card["labels"].items() if n < TINY}
    if tiny:
        named = ", ".join(f"{name} ({n})" for name, n in list(tiny.items())[:5])
        more = f" and {len(tiny) - 5} more" if len(tiny) > 5 else ""
        yield f"tiny classes: {named}{more}; leave them out with --min-cells {TINY}"
    total = sum(card["labels"].values())
    largest, n = next(iter(card["labels"].items()), ("", 0))
    if len(card["labels"]) == 1:
        yield f"every cell is {largest}: there is nothing to tell apart"
    elif total and n / total > 0.8:
        yield f"{n / total:.0%} of the cells are {largest}: accuracy will look good by itself"
    yield from warnings_of_confounding(card["confounding"])


def warnings_of_confounding(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None or found["cramers_v"] is None:
        return
    alone, labels = found["labels_in_one_batch"], len(found["table"])
    if found["cramers_v"] > 0.9:
        yield (
            f"label and batch are nearly the same thing (Cramer's V {found['cramers_v']:.2f}): a"
            " model can be right by recognising the batch"
        )
    elif alone:
        named = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        yield f"confounded: {len(alone)} of {labels} types lie in one batch only ({named})"


def warnings_of_duplicates(card: dict[str, Any]) -> Iterator[str]:
    found = card["exact_duplicates"]
    if found["cells"]:
        other = f", {found['other_label']} under another label" if found["other_label"] else ""
        yield (
            f"{found['cells']:,} cells repeat another cell exactly{other}: a split may put one into"
            " training and one into test"
        )
    near = card["near_duplicates"]
    if near and near["cells"]:
        above = f"cosine > {near['threshold']}"
        yield f"{near['cells']:,} cells are near-duplicates of another cell ({above})"


def warnings_of_genes(card: dict[str, Any]) -> Iterator[str]:
    names = card["gene_names"]
    if names["kind"] != "symbols":
        yield f"gene names are {names['kind']}: pretrained models look genes up by symbol"
    if names["repeated"]:
        named = ", ".join(names["repeated_examples"])
        yield f"{names['repeated']} gene names occur more than once, such as {named}"
    if card["genes"] < FEW_GENES:
        yield f"only {card['genes']:,} genes: pretrained models expect thousands"
