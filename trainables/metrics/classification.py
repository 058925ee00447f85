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
    table = per_class(truth, predicted, labels)
    return {
        "accuracy": float(np.mean(np.asarray(truth) == np.asarray(predicted))),
        "macro_f1": float(table["f1"].mean()),
        "macro_precision": float(table["precision"].mean()),
        "macro_recall": float(table["recall"].mean()),
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
    f1 = per_class(truth, predicted, labels)["f1"].mean()
    return {"accuracy_hard": float(np.mean(truth[hard] == predicted[hard])), "f1_hard": float(f1)}


def per_class(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """One row a label: precision, recall, f1, cells."""
    true, taken = (pd.Index(labels).get_indexer(pd.Index(part)) for part in (truth, predicted))
    cells, said, right = (
        np.bincount(codes[codes >= 0], minlength=len(labels))
        for codes in (true, taken, true[true == taken])
    )
    return pd.DataFrame(
        {
            "cell_type": labels,
            "precision": shares(right, said),  # 0 for a class that was never predicted
            "recall": shares(right, cells),
            "f1": shares(2 * right, said + cells),
            "cells": cells,
        }
    )


def shares(some: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Element-wise shares, of nothing 0."""
    return np.divide(some, of, out=np.zeros(len(of)), where=of > 0)


def confusion(truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Counts of cells: a row a true class, a column a predicted one."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predicted, labels=labels)
    table = pd.DataFrame(counts, columns=[str(label) for label in labels])
    table.insert(0, "truth", [str(label) for label in labels])
    return table
