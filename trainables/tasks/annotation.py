"""Name the cell types of cells the model has never seen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from trainables.audit import audited, replayed, shown_labels
from trainables.cells import copies, parted, words
from trainables.metrics import classification
from trainables.paper_splits import paper_split
from trainables.protocols import Annotator, Cells, Context, Direction, Drawn, Metrics
from trainables.splits import (
    Split,
    batch_left_out,
    check_class_sizes,
    fixed_split,
    leave_batch_out,
    random_split,
)

PROTOCOLS = ("random", "batch", "fixed", "paper")
SCORES = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "accuracy_hard", "f1_hard")


@dataclass(frozen=True)
class Annotation:
    """Fit on labelled cells, report on cells without labels.

    `protocol`: "random", a stratified test set drawn for each seed; "batch", seed s leaves out
    batch s; "fixed", the data set's own test cells; "paper", the rows of Boiarsky et al. (see
    `paper_splits.paper_split`) and their macro average over whichever classes occur.
    `fraction` is the share of the labelled cells (train and valid alike) that a model is given;
    the test set is the same at every fraction. What a model chooses, it chooses on `valid`.
    `hard` names types that are easily taken for each other, scored apart (Table 1's CD8 cells).
    `replay` fits twice to catch a model that learns from test cells without saying so.
    """

    fraction: float = 1.0
    protocol: str = "random"
    test: float = 0.2
    valid: float = 0.1
    hard: tuple[str, ...] = ()
    replay: bool = False

    needs: ClassVar[type] = Annotator
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "name the cell types of unseen cells after labelled examples"
    headline: ClassVar[str] = "test/macro_f1"
    metrics: ClassVar[dict[str, Direction]] = {
        f"{part}/{name}": "higher" for part in ("test", "valid") for name in SCORES
    }

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(
                f"annotation has no protocol {self.protocol!r}; it has: {', '.join(PROTOCOLS)}"
            )

    def described(self, cells: Cells | None = None) -> str:
        """The split in words, for tables."""
        return {
            "random": f"random {1 - self.test - self.valid:.0%}/{self.valid:.0%}/{self.test:.0%}",
            "batch": f"leave one batch out, {self.valid:.0%} of the others to choose on",
            "fixed": f"fixed test set, {self.valid:.0%} of the others to choose on",
            "paper": "as Boiarsky et al."
            + ("" if cells is None or "split" in cells.obs else ", chosen on the test set"),
        }[self.protocol]

    @property
    def by_batch(self) -> bool:
        """Whether each seed leaves out one batch."""
        return self.protocol == "batch"

    def drawn(self, cells: Cells, seed: int) -> Drawn:
        """How this seed draws its test cells.

        The rows of Boiarsky et al. are one test set; without marks it also chose the epoch.
        """
        if self.by_batch:
            return Drawn("batches", batch=batch_left_out(words(cells, "batch"), seed))
        design: Literal["random", "fixed"] = "random" if self.protocol == "random" else "fixed"
        return Drawn(design, self.protocol == "paper" and "split" not in cells.obs)

    def check(self, cells: Cells) -> None:
        """Raise ValueError when these cells cannot be split like that."""
        if "cell_type" not in cells.obs:
            raise ValueError("annotation needs cell types: name their column with --label-key")
        labels, own = words(cells, "cell_type"), copies(cells)
        sizes = Counter((labels if own is None else labels[np.unique(own)]).tolist())
        check_class_sizes(sizes, least=3 if self.protocol == "random" else 1)
        if absent := sorted(set(self.hard) - set(sizes)):
            raise ValueError(
                f"no cell is of the hard type {absent[0]!r}; name types of these cells, or none:"
                " task.hard=[]"
            )
        if self.protocol == "batch" and "batch" not in cells.obs:
            raise ValueError("leaving a batch out needs batches: name their column (--batch-key)")
        if self.protocol == "fixed" and "split" not in cells.obs:
            raise ValueError(
                "it has no cells marked train and test in obs['split']; use another protocol"
            )
        if self.protocol != "random":
            self.split(cells, 0, "logreg")

    def split(self, cells: Cells, seed: int, draws: str) -> Split:
        """Who is in which part; `draws` says whose subsets, under the paper's protocol."""
        labels = words(cells, "cell_type")
        marks = words(cells, "split") if "split" in cells.obs else None
        share: dict[str, Any] = {"valid": self.valid, "fraction": self.fraction}
        if self.protocol == "paper":
            return paper_split(labels, seed, fraction=self.fraction, marks=marks, draws=draws)
        share["copy_of"] = copies(cells)
        if self.protocol == "random":
            return random_split(labels, seed, test=self.test, **share)
        if self.protocol == "batch":
            return leave_batch_out(labels, words(cells, "batch"), seed, **share)
        if marks is None:
            raise ValueError("it has no cells marked train and test in obs['split']")
        return fixed_split(labels, marks, seed, **share)

    def __call__(self, model: Annotator, cells: Cells, ctx: Context) -> Metrics:
        """test/ and valid/ accuracy, macro_f1, macro_precision, macro_recall, and accuracy_hard
        and f1_hard where types are named as hard.

        Saves `predictions.parquet` (a row a test cell), `per_class.csv` and `confusion.csv`.
        Raises `audit.Leak` when a fitting step saw a test cell.
        """
        split = self.split(cells, ctx.seed, getattr(model, "draws", "logreg"))
        shown = shown_labels(model)
        train, valid, test = parted(cells, (split.train, split.valid, split.test), labelled=shown)
        # under the paper's protocol the reported cells are chosen on: stamped, not refused
        hidden = () if split.selected_on_test or shown else test.obs_names
        watched = audited(ctx, hidden)
        predicted = model.fit_predict(train, valid, test, watched)
        if self.replay:
            replayed(model, train, valid, test, predicted, watched)
        truth = words(cells, "cell_type")
        tested, chosen_on = (
            classification.counted(truth[index], said)
            for index, said in ((split.test, predicted.test), (split.valid, predicted.valid))
        )
        kept = {"cell": test.obs_names, "truth": truth[split.test], "predicted": predicted.test}
        ctx.save("predictions.parquet", pd.DataFrame(kept))
        ctx.save("per_class.csv", tested.per_class(self.classes(tested)))
        ctx.save("confusion.csv", tested.confusion())
        in_either = len(np.union1d(split.train, split.valid))
        return {
            **{f"test/{name}": value for name, value in self.scores(tested).items()},
            **{f"valid/{name}": value for name, value in self.scores(chosen_on).items()},
            **{f"chosen/{name}": value for name, value in predicted.notes.items()},
            "n_train": len(split.train) if split.selected_on_test else in_either,
            "n_eval": len(split.test),
            "n_classes": cells.obs["cell_type"].nunique(),
        }

    def classes(self, counts: classification.Counts) -> np.ndarray:
        """The classes that a macro average is taken over."""
        return counts.labels if self.protocol == "paper" else counts.true_labels

    def scores(self, counts: classification.Counts) -> Metrics:
        """What one part is measured by."""
        scores = counts.scores(self.classes(counts))
        return scores | (counts.hard_scores(np.array(self.hard)) if self.hard else {})


TASK = Annotation
