"""Which genes of these cells a model has a token for, and which it will never see."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPECIAL = ("<pad>", "<cls>", "<eoc>")
"""scGPT's tokens that are no genes; its code appends those that a vocabulary lacks."""


@dataclass(frozen=True)
class Aligned:
    """The columns that have a token, in their own order, and the names of those that have none."""

    columns: np.ndarray
    ids: np.ndarray
    missing: tuple[str, ...]

    def described(self) -> str:
        """How much of the cells' genes is known, in words.

        >>> Aligned(np.array([0]), np.array([7]), ("LINC1",)).described()
        '1 of 2 genes are in the vocabulary; LINC1 is not'
        """
        total = len(self.columns) + len(self.missing)
        said = f"{len(self.columns):,} of {total:,} genes are in the vocabulary"
        if not self.missing:
            return said
        shown = ", ".join(self.missing[:3]) + (", ..." if len(self.missing) > 3 else "")
        return f"{said}; {shown} {'is' if len(self.missing) == 1 else 'are'} not"


def align(genes: Iterable[str], vocabulary: Mapping[str, int], *, source: str) -> Aligned:
    """Genes that have a token, by their exact names, as the authors match them.

    Raises ValueError when none has one, naming `source` and what its tokens look like.

    >>> align(["CD3E", "FOO", "MS4A1"], {"MS4A1": 4, "CD3E": 9, "<pad>": 10}, source="x").ids
    array([9, 4])
    """
    names = [str(gene) for gene in genes]
    ids = np.array([vocabulary.get(name, -1) for name in names], dtype=np.int64)
    known = np.flatnonzero(ids >= 0)
    if not len(known):
        tokens = [token for token in vocabulary if token not in SPECIAL][:3]
        raise ValueError(
            f"none of the {len(ids):,} genes (such as {', '.join(names[:3])}) is in the"
            f" vocabulary of {source}, whose genes are such as {', '.join(tokens) or 'none'};"
            " name genes as it does"
        )
    missing = tuple(name for name, i in zip(names, ids, strict=True) if i < 0)
    return Aligned(known, ids[known], missing)


def new_vocabulary(genes: Iterable[str]) -> dict[str, int]:
    """Tokens of one's own: genes in their order, then the special ones.

    >>> new_vocabulary(["B", "A"])
    {'B': 0, 'A': 1, '<pad>': 2, '<cls>': 3, '<eoc>': 4}
    """
    return {token: i for i, token in enumerate([*map(str, genes), *SPECIAL])}


def read_vocabulary(path: Path) -> dict[str, int]:
    """Token to row of the embedding, from a `vocab.json`; special tokens appended where missing.

    Raises ValueError when it is no such file or its numbers are not 0, 1, 2, ... once each: one
    token too many or too few would shift or break every gene's embedding.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a vocabulary: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, int) for v in found.values()):
        raise ValueError(f"{path} is no vocabulary: it must map each token to its number")
    for token in SPECIAL:
        found.setdefault(token, len(found))
    if sorted(found.values()) != list(range(len(found))):
        raise ValueError(
            f"{path} does not number its {len(found):,} tokens from 0 on, once each; get the file"
            " that belongs to the weights"
        )
    return found
