"""Decision on a file of cells, and the options by which a user takes part in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from trainables.intake.finding import Finding, log_name

ValuesKind = Literal["counts", "lognorm", "linear"]
VALUES: tuple[ValuesKind, ...] = ("counts", "lognorm", "linear")
INTAKE = 4
"""Goes up whenever the same file would be taken otherwise; part of the identity of user files."""


@dataclass(frozen=True)
class IntakeOptions:
    """Options of a user, or of a data set's declaration, that decide where content cannot."""

    counts_layer: str | None = None
    """Name of the layer to take, "raw" or "X" (`--counts-layer`)."""
    values: str | None = None
    """"counts", "lognorm" or "linear": kind of values that cannot be recognised (`--values`)."""
    fallback: str | None = None
    """Like `values`, but values that can be recognised may contradict it."""
    library_size: str | None = None
    """Column of obs with the total counts of each cell, genes that were left out included."""

    def __post_init__(self) -> None:
        if self.values is not None and self.values not in VALUES:
            raise ValueError(f"--values {self.values} is none of: {', '.join(VALUES)}")


@dataclass(frozen=True)
class Values:
    """Values that models meet: what they were in the file, and where."""

    kind: ValuesKind
    source: str
    """"X", ".raw" or "layers['NAME']"."""
    log_base: float | None
    """Base of the file's logarithm; None where values were not logged."""
    target_sum: float | None
    """Total per cell that the file's values were scaled to; None for counts or where unknown."""
    n_genes: int

    @property
    def sentence(self) -> str:
        """The values in words.

        >>> Values("counts", ".raw", None, None, 13714).sentence
        'X: counts from .raw (13,714 genes)'
        """
        genes = f"({self.n_genes:,} genes)"
        if self.kind == "counts":
            undone = f", {log_name(self.log_base)}(1 + counts) undone" if self.log_base else ""
            return f"X: counts from {self.source} {genes}{undone}"
        scale = Finding(self.kind, log_base=self.log_base, target=self.target_sum).scale
        return f"X: {scale} from {self.source} {genes}"


@dataclass(frozen=True)
class Decision:
    """Decision on a file: its values, names of genes and cells left out. The same for all uses."""

    values: Values
    genes: str
    """Origin of the genes' names in words, such as "symbols from var['feature_name']"."""
    species: str
    """"human", "mouse", "other", or "" where names do not tell."""
    cells_left_out: int
    """Number of cells without a label."""
    copies: int
    """Number of cells that repeat an earlier cell exactly."""
    label_key: str = ""
    """Column of obs that cell types come from; empty where a data set declares them."""
    batch_key: str = ""
    """Column of obs that batches come from; empty where there are none, or declared ones."""
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The decision in one line: the head of every run, and a line of its report."""
        parts = [self.values.sentence, self.genes]
        if self.cells_left_out:
            parts.append(f"{self.cells_left_out:,} unlabelled cells left out")
        if self.copies:
            parts.append(f"{self.copies:,} copies of other cells")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Decision:
        """The decision that `as_dict` spelled out."""
        values = Values(**plain["values"])
        return cls(**{**plain, "values": values, "notes": tuple(plain["notes"])})
