"""How well predicted labels match true ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

Scores = dict[str, float]


def scores(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> Scores:
    """Accuracy, and macro averages over the stated labels.

    Ours are the classes that occur in `truth`, the same for every model. The papers took
    scikit-learn's default, whichever occur in truth or prediction, so that one wrong guess of an
    absent class lowers the average. A class that was never predicted has precision 0.
    """
    found = by_class(truth, predicted, labels)
    return {
        "accuracy": float(np.mean(np.asarray(truth) == np.asarray(predicted))),
        **{f"macro_{name}": float(found[name].mean()) for name in ("f1", "precision", "recall")},
    }


def hard_scores(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> Scores:
    """Accuracy on the cells of these labels, and their macro F1 over all cells.

    As the authors of Table 1 computed both (collate_final_results_finetune.ipynb, cell 10): a cell
    of another type that is taken for one of these lowers the F1 and leaves the accuracy as it is.
    Nothing where no cell is of these types.
    """
    hard = np.isin(truth, labels)
    if not hard.any():
        return {}
    f1 = by_class(truth, predicted, labels)["f1"].mean()
    return {"accuracy_hard": float(np.mean(truth[hard] == predicted[hard])), "f1_hard": float(f1)}


def per_class(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """One row a label: precision, recall, f1, cells."""
    return pd.DataFrame({"cell_type": labels, **by_class(truth, predicted, labels)})


def by_class(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `per_class`."""
    true, taken = codes(truth, labels), codes(predicted, labels)
    cells, said, right = (
        np.bincount(some[some >= 0], minlength=len(labels))
        for some in (true, taken, true[true == taken])
    )
    return {
        "precision": shares(right, said),  # 0 for a class that was never predicted
        "recall": shares(right, cells),
        "f1": shares(2 * right, said + cells),
        "cells": cells,
    }


def codes(part: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The place of each cell's label among the labels, -1 of any other."""
    return pd.Index(labels).get_indexer(pd.Index(part))


def shares(some: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Element-wise shares, of nothing 0."""
    return np.divide(some, of, out=np.zeros(len(of)), where=of > 0)


def confusion(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Counts of cells: a row a true class, a column a predicted one; others are left out."""
    true, taken, n = codes(truth, labels), codes(predicted, labels), len(labels)
    among = (true >= 0) & (taken >= 0)
    counts = np.bincount(true[among] * n + taken[among], minlength=n * n).reshape(n, n)
    table = pd.DataFrame(counts, columns=[str(label) for label in labels])
    table.insert(0, "truth", [str(label) for label in labels])
    return table
