"""The same cells in every format: recipes enter theirs here, with the outcome that is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.intake.gene_words import LANDMARKS

N_CELLS, N_GENES = 40, 30
COUNTS = np.random.default_rng(0).poisson(1.5, (N_CELLS, N_GENES))
COUNTS[:, 0] += 1
GENES = sorted(LANDMARKS)[:N_GENES]
IDS = [f"ENSG{i:011}" for i in range(N_GENES)]
BASES = np.random.default_rng(1).choice(list("ACGT"), (N_CELLS, 16))
CELLS = ["".join(row) + "-1" for row in BASES]
TYPES = ["B cell", "T cell"] * (N_CELLS // 2)
LABELS = pd.DataFrame({"cell_type": TYPES}, index=pd.Index(CELLS, name="barcode"))


@dataclass
class Given:
    """A user's words: the path, and the options that go with it."""

    path: Path
    labels: Path | None = None
    label_key: str | None = None
    transpose: bool = False
    note: str = ""
    """Part of a note that must come with the cells."""
    cells: int = N_CELLS


READ: dict[str, Callable[[Path], Given]] = {}
"""Files that give the cells, by the name of their recipe."""
REFUSED: dict[str, tuple[Callable[[Path], Given], str]] = {}
"""Files that are refused, each with words that the sentence must have."""


def read(recipe: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Enter a recipe of a file that is read rightly."""
    assert recipe.__name__ not in READ
    READ[recipe.__name__] = recipe
    return recipe


def refused(words: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Enter a recipe of a file that is refused in these words."""

    def entered(recipe: Callable[[Path], Any]) -> Callable[[Path], Any]:
        assert recipe.__name__ not in REFUSED
        REFUSED[recipe.__name__] = recipe, words
        return recipe

    return entered


def cells(labelled: bool = True, form: Any = sparse.csr_matrix) -> Any:
    """The cells as an AnnData."""
    obs = LABELS.copy() if labelled else LABELS[[]].copy()
    return ad.AnnData(
        form(COUNTS.astype(np.float32)), obs=obs, var=pd.DataFrame({"gene_ids": IDS}, index=GENES)
    )


def h5ad(folder: Path, name: str = "mine.h5ad", labelled: bool = True, **options: Any) -> Path:
    """The cells as an .h5ad."""
    cells(labelled).write_h5ad(folder / name, **options)
    return folder / name


def labels(folder: Path, table: pd.DataFrame = LABELS, **options: Any) -> Path:
    """A table of labels, in another order than the cells."""
    table.iloc[::-1].to_csv(folder / "labels.csv", **options)
    return folder / "labels.csv"


def dense(labelled: bool = True) -> pd.DataFrame:
    """The cells as a table, with a column of labels."""
    table = pd.DataFrame(COUNTS, index=pd.Index(CELLS), columns=GENES)
    if labelled:
        table.insert(0, "cell_type", TYPES)
    return table
