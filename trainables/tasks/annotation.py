"""Name the cell types of cells the model has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from trainables.cells import rows
from trainables.metrics import classification
from trainables.protocols import Annotator, Cells, Context, Metrics
from trainables.splits import Split, check_class_sizes, random_split


@dataclass(frozen=True)
class Annotation:
    """Fit on labelled cells, report on a stratified random test set.

    `fraction` is the share of the labelled cells (train and valid alike) that a model is given;
    the test set is the same at every fraction. What a model chooses, it chooses on `valid`.
    """

    fraction: float = 1.0
    test: float = 0.2
    valid: float = 0.1

    needs: ClassVar[type] = Annotator
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "name the cell types of unseen cells after labelled examples"
    headline: ClassVar[str] = "test/macro_f1"

    @property
    def protocol(self) -> str:
        """The split in words, for tables."""
        return f"random {1 - self.test - self.valid:.0%}/{self.valid:.0%}/{self.test:.0%}"

    def check(self, cells: Cells) -> None:
        """Raise ValueError when some class is too small to split or there is but one."""
        if "cell_type" not in cells.obs:
            raise ValueError("annotation needs cell types: name their column with --label-key")
        check_class_sizes(cells.obs["cell_type"].to_numpy())

    def __call__(self, model: Annotator, cells: Cells, ctx: Context) -> Metrics:
        """test/ and valid/ accuracy, macro_f1, macro_precision, macro_recall.

        Saves `predictions.parquet` (a row a test cell), `per_class.csv` and `confusion.csv`.
        """
        labels = cells.obs["cell_type"].astype(str).to_numpy()
        split = random_split(
            labels, ctx.seed, test=self.test, valid=self.valid, fraction=self.fraction
        )
        predicted = model.fit_predict(
            rows(cells, split.train, labels=True),
            rows(cells, split.valid, labels=True),
            rows(cells, split.test, labels=False),
            ctx,
        )
        return measure(predicted.test, predicted.valid, labels, split, cells, ctx) | {
            f"chosen/{name}": value for name, value in predicted.notes.items()
        }


def measure(
    test: np.ndarray,
    valid: np.ndarray,
    labels: np.ndarray,
    split: Split,
    cells: Cells,
    ctx: Context,
) -> Metrics:
    """Predictions against truth, kept cell by cell as well."""
    classes = np.unique(labels)
    truth = labels[split.test]
    ctx.save(
        "predictions.parquet",
        pd.DataFrame({"cell": cells.obs_names[split.test], "truth": truth, "predicted": test}),
    )
    ctx.save("per_class.csv", classification.per_class(truth, test, classes))
    ctx.save("confusion.csv", classification.confusion(truth, test, classes))
    on_test = classification.scores(truth, test, classes)
    on_valid = classification.scores(labels[split.valid], valid, classes)
    return {
        **{f"test/{name}": value for name, value in on_test.items()},
        **{f"valid/{name}": value for name, value in on_valid.items()},
        "n_train": len(split.train) + len(split.valid),
        "n_eval": len(split.test),
        "n_classes": len(classes),
    }


TASK = Annotation
