"""How trials were drawn, what seeds then share, and which test that calls for."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.declared import with_declarations
from analysis.intervals import Number


@dataclass(frozen=True)
class Design:
    """What the seeds of one comparison have in common."""

    kind: str
    """"random": each seed splits the same cells anew; "batches": each leaves out another batch;
    "fixed": one test set for all; "whole": nothing is held out; "": the task does not say."""
    share: float | None = None
    """Of all cells, what a random test set takes."""
    fraction: float = 1.0

    @property
    def rho(self) -> float | None:
        """How alike the scores of two random splits of the same cells are, by rule of thumb.

        Nadeau & Bengio (2003) put the correlation at the test share. At a few-shot fraction the
        scores differ by their training cells too, which seeds then hardly share, so they are less
        alike: the share times fraction^(1/4) is what `benchmarks/calibration.py` found, and found
        again for learners that it was not taken from. Their n_test / n_train as it stands would
        instead exceed 1.
        """
        return None if self.share is None else self.share * self.fraction**0.25

    @property
    def extra(self) -> float | None:
        """What `rho` adds to 1/n in the variance of a mean over seeds."""
        return None if self.rho is None else self.rho / (1 - self.rho)


def left_by_splits(seen: Number, alike: Number, class_cells: Number) -> Number:
    """The variance that random splits of the same cells leave to a mean over any number of them.

    `seen` is what predictions of different seeds have in common: what shared test cells do to
    models as they are. `alike` is what that would be, were the models to name each cell alike: the
    test share of one seed's variance. Where they do, shared training cells have done nothing; the
    less they do, the more is owed to training, which seeds share, or to luck, which they do not.
    `benchmarks/calibration.py` finds the truth midway between the two, and somewhat above it where
    the classes that scores hang on have few test cells, and so few that are learnt from.
    """
    return (1 + 3 / class_cells) * (seen + alike) / 2


def design_of(scores: pd.DataFrame) -> Design:
    """The design of one cell of the tidy table."""
    row = with_declarations(scores).iloc[0]
    kind = row["design"] if isinstance(row["design"], str) else ""
    share = held_out_share(scores) if kind == "random" else None
    return Design(kind, share, float(row["fraction"]))


def held_out_share(scores: pd.DataFrame) -> float | None:
    """The share of a data set's cells that a test set takes; None where none are held out.

    At a few-shot fraction a model is given a fraction of the cells that are not tested on, so all
    cells are n_eval + n_train / fraction.
    """
    sizes = scores.dropna(subset=["n_eval", "n_train"])
    sizes = sizes[sizes["n_train"] > 0]
    if sizes.empty:
        return None
    rest = sizes["n_train"] / sizes["fraction"]
    return float((sizes["n_eval"] / (sizes["n_eval"] + rest)).median())


def choose_test(n_shared: int, design: Design, cells_known: bool) -> tuple[str, str]:
    """The test that fits how the trials were drawn, and why in one line.

    Raises ValueError where the task does not declare how its trials were drawn.
    """
    if not design.kind:
        raise ValueError(
            "the task of these trials does not say how a seed draws its test cells, which decides"
            " the test: give the task a method `drawn` (see trainables.protocols.Drawn), or name"
            " a test with --test"
        )
    if n_shared == 0 and design.kind == "random":
        return (
            "corrected-welch",
            "no seed is shared: two samples, each corrected for splits of the same cells",
        )
    if n_shared == 0:
        return "welch", "no seed is shared: two independent samples, each with its own variance"
    if design.kind == "batches":
        return "paired", "each seed leaves out another batch: paired over batches"
    if design.kind == "fixed" and cells_known:
        return (
            "seeds-and-cells",
            "shared seeds, one fixed test set: paired, with what its cells leave open,"
            " as predictions show it",
        )
    if design.kind == "fixed":
        return "paired", "shared seeds, one fixed test set: it speaks of these test cells only"
    if design.kind == "whole":
        return (
            "paired",
            "shared seeds and no held-out cells: it speaks of other seeds on these cells only",
        )
    if design.share is None:
        return "nadeau-bengio", "shared seeds whose splits overlap, and no record says how much"
    if cells_known:
        return (
            "seeds-and-cells",
            "shared seeds whose splits overlap: paired, corrected for what the shared cells do,"
            f" as predictions show it (test share {design.share:.0%})",
        )
    few = f" at {design.fraction:.0%} of the labels" if design.fraction < 1 else ""
    return (
        "nadeau-bengio",
        "shared seeds whose splits overlap: paired, corrected for a test share of"
        f" {design.share:.0%}{few}",
    )
