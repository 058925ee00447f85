"""How well predicted labels match true ones: all of it from one table of counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

Scores = dict[str, float]


@dataclass(frozen=True)
class Counts:
    """How many cells of each true label were given each label."""

    labels: np.ndarray
    """Every label that is true or predicted of any cell, sorted."""
    table: np.ndarray
    """labels x labels: a row a true one, a column a predicted one."""

    @property
    def true_labels(self) -> np.ndarray:
        """Those that occur in truth."""
        return self.labels[self.table.sum(axis=1) > 0]

    def scores(self, labels: np.ndarray) -> Scores:
        """Accuracy, and macro averages over the stated labels.

        Ours are the classes that occur in truth, the same for every model. The papers took
        scikit-learn's default, whichever occur in truth or prediction, so that one wrong guess of
        an absent class lowers the average. A class that was never predicted has precision 0.
        """
        found, right = self.by_class(labels), float(self.table.trace() / self.table.sum())
        macro = {
            f"macro_{name}": float(found[name].mean()) for name in ("f1", "precision", "recall")
        }
        return {"accuracy": right, **macro}

    def hard_scores(self, labels: np.ndarray) -> Scores:
        """Accuracy on the cells of these labels, and their macro F1 over all cells.

        As the authors of Table 1 computed both (collate_final_results_finetune.ipynb, cell 10): a
        cell of another type that is taken for one of these lowers the F1 and leaves the accuracy
        as it is. Nothing where no cell is of these types.
        """
        right, cells, _ = self.of(labels)
        if not cells.any():
            return {}
        f1 = self.by_class(labels)["f1"].mean()
        return {"accuracy_hard": float(right.sum() / cells.sum()), "f1_hard": float(f1)}

    def per_class(self, labels: np.ndarray) -> pd.DataFrame:
        """One row a label: precision, recall, f1, cells."""
        return pd.DataFrame({"cell_type": labels, **self.by_class(labels)})

    def by_class(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of `per_class`."""
        right, cells, said = self.of(labels)
        return {
            "precision": shares(right, said),  # 0 for a class that was never predicted
            "recall": shares(right, cells),
            "f1": shares(2 * right, said + cells),
            "cells": cells,
        }

    def of(self, labels: np.ndarray) -> np.ndarray:
        """For each of some labels the cells that were named right, that are of it, and that were
        said to be: 3 x labels."""
        counts = np.array([self.table.diagonal(), self.table.sum(axis=1), self.table.sum(axis=0)])
        place = {label: at for at, label in enumerate(self.labels)}
        nowhere = len(self.labels)  # a label that no cell has, nor was given
        return np.pad(counts, [(0, 0), (0, 1)])[:, [place.get(label, nowhere) for label in labels]]

    def confusion(self) -> pd.DataFrame:
        """The table itself, its columns the predicted labels, after one that names the true."""
        names = [str(label) for label in self.labels]
        table = pd.DataFrame(self.table, columns=names)
        table.insert(0, "truth", names)
        return table


def counted(truth: np.ndarray, predicted: np.ndarray) -> Counts:
    """Labels of the same cells, the true and the predicted ones, as counts.

    Raises TypeError where they are not all of one kind.
    """
    codes, found = pd.factorize(np.concatenate([truth, predicted]), use_na_sentinel=False)
    labels, ranks = np.unique(found, return_inverse=True)
    true, taken, n = ranks[codes[: len(truth)]], ranks[codes[len(truth) :]], len(labels)
    return Counts(labels, np.bincount(true * n + taken, minlength=n * n).reshape(n, n))


def shares(some: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Element-wise shares, of nothing 0."""
    return np.divide(some, of, out=np.zeros(len(of)), where=of > 0)
