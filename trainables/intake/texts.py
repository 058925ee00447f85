"""Names of genes and features as text, and patterns that they match."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from trainables.intake.gene_words import LANDMARKS


def texts(column: pd.Series) -> np.ndarray:
    """A column as text without outer blanks; missing values are ""."""
    missing = column.isna().to_numpy()
    plain = column.astype(object).where(~missing, "").astype(str).str.strip()
    plain = plain.where(~plain.str.lower().isin(["nan", "none", "<na>"]), "")
    return plain.to_numpy(dtype=object)


QUOTED = r"""^b?(['"]).*\1$"""


def unquoted(names: np.ndarray) -> np.ndarray:
    """Names without the quotes that all of them have, as b'CD3D' or "CD3D".

    >>> unquoted(np.array(["b'CD3D'", "b'LYZ'"], dtype=object)).tolist()
    ['CD3D', 'LYZ']
    """
    if not len(names) or matches(names, QUOTED) < 1:
        return names
    return np.array([name.removeprefix("b")[1:-1] if name else name for name in names], object)


def matching(names: np.ndarray, pattern: str) -> np.ndarray:
    """Mask of the names that match a pattern."""
    found: Any = pd.Series(names, dtype=object).str.match(pattern)
    return found.to_numpy(dtype=bool)


def matches(names: np.ndarray, pattern: str) -> float:
    """Share of the names that match a pattern; empty names do not count."""
    filled = names[names != ""]
    return float(matching(filled, pattern).mean()) if len(filled) else 0.0


def landmarks(names: np.ndarray) -> int:
    """Number of well-known genes among the names, of man or mouse."""
    return len(LANDMARKS & {str(name).upper() for name in names})


def is_text(column: pd.Series) -> bool:
    """Whether a column holds text, as categories or not."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype)
