"""Which genes of these cells a model has a token for, and which it will never see."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.genes.summed import first_of_each

SPECIAL = ("<pad>", "<cls>", "<eoc>")
"""scGPT's tokens that are no genes; its code appends those that a vocabulary lacks."""


@dataclass(frozen=True)
class Aligned:
    """Genes of some cells and their tokens."""

    names: np.ndarray
    """Name of each column."""
    tokens: np.ndarray
    """Token of each column; -1 where the model has none."""

    @property
    def covered(self) -> np.ndarray:
        """All columns whose gene has a token."""
        return np.flatnonzero(self.tokens >= 0)

    @property
    def columns(self) -> np.ndarray:
        """Columns that have a token, in their order; of several with one token the first."""
        first = first_of_each(self.tokens) == np.arange(len(self.tokens))
        return np.flatnonzero((self.tokens >= 0) & first)

    @property
    def ids(self) -> np.ndarray:
        """Token of each of `columns`."""
        return self.tokens[self.columns]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the columns without a token."""
        return tuple(self.names[self.tokens < 0])

    def described(self) -> str:
        """Number of the genes that have a token, in words.

        >>> Aligned(np.array(["CD3E", "LINC1"]), np.array([7, -1])).described()
        '1 of 2 genes are in the vocabulary; LINC1 is not'
        """
        known, missing = len(self.covered), self.missing
        said = f"{known:,} of {len(self.tokens):,} genes are in the vocabulary"
        if missing:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            said += f"; {shown} {'is' if len(missing) == 1 else 'are'} not"
        shared = known - len(self.columns)
        return said + (f"; {shared:,} share a token with another and are added" if shared else "")


def align(
    genes: Iterable[str],
    vocabulary: Mapping[str, int],
    *,
    source: str,
    ids: np.ndarray | None = None,
) -> Aligned:
    """Genes and their tokens, by their exact names, as the authors match them.

    scGPT's vocabulary names a symbol of several genes with the gene's id behind it, such as
    SIGLEC5_ENSG00000105501. `ids`, the bare Ensembl id of each gene, reach these tokens first.
    Raises ValueError when no gene has a token, naming `source` and what its tokens look like.

    >>> align(["CD3E", "FOO", "MS4A1"], {"MS4A1": 4, "CD3E": 9, "<pad>": 10}, source="x").ids
    array([9, 4])
    """
    names = np.array([str(gene) for gene in genes], dtype=object)
    tokens = np.array([vocabulary.get(name, -1) for name in names], dtype=np.int64)
    if ids is not None and len(by_id := tokens_by_id(vocabulary)):
        tokens = np.array(
            [by_id.get(own, token) for own, token in zip(ids, tokens, strict=True)], dtype=np.int64
        )
    if not (tokens >= 0).any():
        known = [token for token in vocabulary if token not in SPECIAL][:3]
        raise ValueError(
            f"none of the {len(names):,} genes (such as {', '.join(names[:3])}) is in the"
            f" vocabulary of {source}, whose genes are such as {', '.join(known) or 'none'};"
            " name genes as it does"
        )
    return Aligned(names, tokens)


def tokens_by_id(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Tokens whose names end in an Ensembl id, by that id.

    >>> tokens_by_id({"SIGLEC5_ENSG00000105501": 3, "ZBED1": 4})
    {'ENSG00000105501': 3}
    """
    parted = ((*token.rpartition("_")[::2], number) for token, number in vocabulary.items())
    return {own: number for symbol, own, number in parted if symbol and own.startswith("ENSG")}


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
