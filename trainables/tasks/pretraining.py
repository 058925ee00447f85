"""Guess what was masked, after learning from cells without labels: Boiarsky et al., Table 3."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from trainables.audit import audited
from trainables.cells import copies, rows
from trainables.networks import weights
from trainables.protocols import (
    Cells,
    Context,
    Direction,
    Drawn,
    Metrics,
    Pretrained,
    Pretrainer,
)
from trainables.seeds import stream
from trainables.splits import Split, with_copies
from trainables.tasks.annotation import Annotation

FIVE_PERCENT = "five_percent"


@dataclass(frozen=True)
class Pretraining:
    """Learn from the training cells of `annotation`, be asked about its test cells.

    Cells are split exactly as `annotation` splits them under the same protocol, seed and shares,
    so that who starts from these weights has pretrained on none of the cells it is tested on.
    Cell types stratify that split and are handed to nobody. Cells without types are split at
    random.

    `protocol` "five_percent" is Table 3's: 5 % of the cells are held out by
    `train_test_split(random_state=2021)`, whatever the seed and the cell types
    (dist_pretrain.py; nog2v_explore.ipynb, cell 9). Cells without types are split so under
    "paper" too.
    """

    protocol: str = "random"
    test: float = 0.2
    valid: float = 0.1

    needs: ClassVar[type] = Pretrainer
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "guess masked bins of unseen cells, and keep the weights"
    headline: ClassVar[str] = "test/accuracy"
    metrics: ClassVar[dict[str, Direction]] = {
        "test/accuracy": "higher",
        "test/macro_recall": "higher",
        "test/mse": "lower",
        "test/constant": "higher",
        "test/cell_constant": "higher",
    }

    def __post_init__(self) -> None:
        self.annotation()

    def annotation(self) -> Annotation:
        """The task whose split this is, where cell types decide it."""
        protocol = "random" if self.protocol == FIVE_PERCENT else self.protocol
        return Annotation(protocol=protocol, test=self.test, valid=self.valid)

    def by_type(self, cells: Cells) -> bool:
        """Whether cells are split as `annotation` splits them."""
        return "cell_type" in cells.obs and self.protocol != FIVE_PERCENT

    def fixed(self, cells: Cells) -> bool:
        """Whether the authors' 5 % of the cells are held out."""
        return not self.by_type(cells) and self.protocol in (FIVE_PERCENT, "paper")

    def described(self, cells: Cells | None = None) -> str:
        """The split in words, for tables."""
        if self.protocol == FIVE_PERCENT or (cells is not None and self.fixed(cells)):
            return "5 % held out, random_state=2021, without cell types"
        if cells is None or self.by_type(cells):
            return self.annotation().described(cells)
        return "random, without cell types"

    @property
    def by_batch(self) -> bool:
        """Whether each seed leaves out one batch."""
        return self.annotation().by_batch

    def drawn(self, cells: Cells, seed: int) -> Drawn:
        """How this seed draws the cells that it is asked about; see `split`."""
        if self.by_type(cells):
            return self.annotation().drawn(cells, seed)
        return Drawn("fixed" if self.fixed(cells) else "random")

    def check(self, cells: Cells) -> None:
        """Raise ValueError when these cells cannot be split like that."""
        if self.by_type(cells):
            self.annotation().check(cells)
        elif self.protocol not in ("random", "paper", FIVE_PERCENT):
            raise ValueError(f"protocol {self.protocol!r} needs cell types: name their column")
        elif cells.n_obs < 3:
            raise ValueError("pretraining needs at least three cells")

    def split(self, cells: Cells, seed: int, draws: str) -> Split:
        """Who is learnt from, looked at, and asked about."""
        if self.by_type(cells):
            return self.annotation().split(cells, seed, draws)
        if self.fixed(cells):
            from sklearn.model_selection import train_test_split

            train, held = train_test_split(
                np.arange(cells.n_obs), test_size=0.05, random_state=2021
            )
            return Split(np.sort(train), np.sort(held), np.sort(held))
        own = copies(cells)
        first = np.arange(cells.n_obs) if own is None else np.unique(own)
        order = stream(seed, "split").permutation(len(first))
        sizes = [max(1, round(len(first) * share)) for share in (self.test, self.valid)]
        test, valid, train = (np.sort(part) for part in np.split(order, np.cumsum(sizes)))
        drawn = Split(train, valid, test)
        return drawn if own is None else with_copies(drawn, first, np.arange(cells.n_obs), own)

    def __call__(self, model: Pretrainer, cells: Cells, ctx: Context) -> Metrics:
        """test/ accuracy, macro_recall (over the bins that were masked), mse (of bins).

        `test/constant`: accuracy of the one bin that would do best in all cells.
        Of models that answer in bins also `test/cell_constant`, accuracy of each cell's commonest
        bin (the baseline of Table 3); `test/modal_cells`, share of the cells whose hidden bins are
        all answered with the commonest bin of that cell (section 3.4: 99.8 % without gene2vec);
        and `test/modal_answers`, share of such answers.
        Saves `bins.csv`: how often each bin was masked, said, and said rightly. Keeps the weights
        in the store, for trials that start from "trial:<id>". Raises `audit.Leak` when a fitting
        step saw a test cell.
        """
        split = self.split(cells, ctx.seed, getattr(model, "draws", "logreg"))
        train, valid, test = (
            rows(cells, part, labels=False) for part in (split.train, split.valid, split.test)
        )
        made = model.pretrain(train, valid, test, audited(ctx, self.hidden(split, test)))
        if not len(made.asked):
            raise ValueError("nothing was masked in the test cells: they express none of the genes")
        if made.weights is not None and ctx.trial:
            source = made.weights
            ctx.store.get(
                weights.recipe(ctx.trial),
                lambda draft: shutil.copytree(source, draft, dirs_exist_ok=True) and None,
            )
        ctx.save("bins.csv", by_bin(made))
        return scores(made) | {"n_train": len(split.train), "n_eval": len(split.test)}

    def hidden(self, split: Split, test: Cells) -> tuple[str, ...]:
        """The cells that no fitting step may see."""
        return () if split.selected_on_test else tuple(test.obs_names)


def modal(made: Pretrained) -> Metrics:
    """Scores that need the commonest bin of each cell; none where a model does not give it."""
    if made.cell is None or made.commonest is None:
        return {}
    alike = np.asarray(made.given) == made.commonest
    n_cells, others = len(np.unique(made.cell)), len(np.unique(made.cell[~alike]))
    return {
        "test/cell_constant": float((np.asarray(made.asked) == made.commonest).mean()),
        "test/modal_cells": 1 - others / n_cells,
        "test/modal_answers": float(alike.mean()),
    }


def scores(made: Pretrained) -> Metrics:
    """The metrics of what was masked, under the names that tables show."""
    asked, given = np.asarray(made.asked), np.asarray(made.given)
    bins, counts = np.unique(asked, return_counts=True)
    right = asked == given
    return {
        "test/accuracy": float(right.mean()),
        "test/macro_recall": float(np.mean([right[asked == b].mean() for b in bins])),
        "test/mse": float(np.mean((asked.astype(float) - given) ** 2)),
        "test/constant": float(counts.max() / len(asked)),
        **modal(made),
    }


def by_bin(made: Pretrained) -> pd.DataFrame:
    """A row a bin: how often it was masked, how often said, how often both."""
    asked, given = np.asarray(made.asked), np.asarray(made.given)
    bins = np.union1d(asked, given)
    return pd.DataFrame(
        {
            "bin": bins,
            "masked": [(asked == b).sum() for b in bins],
            "said": [(given == b).sum() for b in bins],
            "right": [((asked == b) & (given == b)).sum() for b in bins],
        }
    )


TASK = Pretraining
