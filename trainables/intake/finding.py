"""Finding on the values of a matrix: their kind, and the scale that they are on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counts", "lognorm", "linear", "unclear", "unusable"]
LIBRARY_SIZE = 1e4
"""Total counts that every prepared cell is scaled to (Seurat's and scanpy's usual choice)."""


@dataclass(frozen=True)
class Finding:
    """Kind of the values of a matrix, and how sure it is."""

    kind: Kind
    reason: str = ""
    """For "unclear" and "unusable": the part of a sentence that follows the matrix's name."""
    log_base: float | None = None
    """Base of the logarithm; with kind "counts": the values are log(1 + counts)."""
    target: float | None = None
    """Total that each cell was scaled to, over all its genes."""
    complete: bool = True
    """Whether the genes of the matrix hold the whole library of each cell."""
    exact: bool = True
    """Whether counts are exactly whole numbers; else they are rounded."""
    note: str = ""
    """What to know of values that are taken nevertheless: follows the matrix's name, too."""

    @property
    def clear(self) -> bool:
        """Whether the values tell by themselves what they are."""
        return self.kind in ("counts", "lognorm", "linear")

    @property
    def scale(self) -> str:
        """Scale in words, such as "log2(1 + counts per 1,000,000)"."""
        if self.kind == "counts":
            return f"{log_name(self.log_base)}(1 + counts)" if self.log_base else "counts"
        per = "scaled counts" if self.target is None else f"counts per {number(self.target)}"
        return f"{log_name(self.log_base)}(1 + {per})" if self.log_base else f"{per}, not logged"


def number(value: float) -> str:
    """A number with its thousands apart.

    >>> number(1e6), number(2190.5)
    ('1,000,000', '2,190.5')
    """
    return f"{value:,.0f}" if value == round(value) else f"{value:,.6g}"


def log_name(base: float | None) -> str:
    """Name of the logarithm to a base.

    >>> log_name(2.0), log_name(math.e)
    ('log2', 'ln')
    """
    return "ln" if base is None or math.isclose(base, math.e) else f"log{base:g}"
