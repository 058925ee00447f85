"""Geneformer's dictionaries: each gene's token and median, and the ids that symbols stand for."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from trainables.genes.names import bare, ids_beside, is_id
from trainables.genes.ranks import TARGET_SUM

SPECIAL = {"v1": ("<pad>", "<mask>"), "v2": ("<pad>", "<mask>", "<cls>", "<eos>")}
NAMES = {
    "tokens": "token_dictionary",
    "medians": "gene_median_dictionary",
    "symbols": "gene_name_id_dict",
    "mapping": "ensembl_mapping_dict",
}
"""What the authors' files are called, with `_gc30M` (V1) or `_gc104M` (V2) behind in newer ones."""


def places_at_hub(weights: str, named: str, suffix: str) -> dict[str, str]:
    """Files of weights and the place of each at Hugging Face: network, then dictionaries."""
    files = {name: f"{weights}/{name}" for name in ("config.json", "model.safetensors")}
    pickles = [f"{name}_{suffix}.pkl" for name in NAMES.values()]
    return files | {name: f"{named}/{name}" for name in pickles}


OLD, NEW = "geneformer/gene_dictionaries_30m", "geneformer"
HUB_FILES = {
    "v1-10m": places_at_hub("Geneformer-V1-10M", OLD, "gc30M"),
    "v2-104m": places_at_hub("Geneformer-V2-104M", NEW, "gc104M"),
    "v2-316m": places_at_hub("Geneformer-V2-316M", NEW, "gc104M"),
}
OPTIONAL = tuple(f"{NAMES['mapping']}_{suffix}.pkl" for suffix in ("gc30M", "gc104M"))
"""Files without which the weights work: retired ids are not mapped then."""


@dataclass(frozen=True)
class Found:
    """For each column of some cells, its token (-1: none) and its median; and what was dropped."""

    tokens: np.ndarray
    medians: np.ndarray
    report: str

    @property
    def covered(self) -> np.ndarray:
        """All columns whose gene has a token."""
        return np.flatnonzero(self.tokens >= 0)


@dataclass(frozen=True)
class Dictionaries:
    """By Ensembl id, or by whatever name the cells have that they were made of."""

    tokens: Mapping[str, int]
    medians: Mapping[str, float]
    symbols: Mapping[str, str] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    """The id of today for each retired one."""

    @property
    def version(self) -> str:
        """ "v2" where cells begin with `<cls>` and end with `<eos>`, else "v1"."""
        return "v2" if "<cls>" in self.tokens else "v1"

    @property
    def size(self) -> int:
        """How many rows the embedding of tokens needs."""
        return max(self.tokens.values()) + 1

    def names(self, size: int) -> np.ndarray:
        """The name of each of the network's `size` tokens, "" where a number is nobody's."""
        names = np.full(size, "", dtype=object)
        names[list(self.tokens.values())] = list(self.tokens)
        return names

    def found(self, var: pd.DataFrame, *, source: str) -> Found:
        """Columns by their Ensembl id where `var` has one, else by their name, else by what the
        name stands for in `symbols`; ids without version, retired ones by `mapping`.

        Raises ValueError when no gene has a token.
        """
        names, ids = bare(var.index), ids_beside(var)
        like_id = is_id(ids)
        tokens = np.full(len(names), -1, dtype=np.int64)
        medians = np.zeros(len(names))
        nameless, tokenless = [], []
        retired = 0
        for i, (name, own) in enumerate(zip(names, ids, strict=True)):
            meant = self.symbols.get(name, "")
            today = [self.mapping.get(one, one) for one in (own, name, meant)]
            known = [one for one in (*today, own, name, meant) if one in self.tokens]
            if known and self.medians.get(known[0], 0) > 0:
                tokens[i], medians[i] = self.tokens[known[0]], self.medians[known[0]]
                retired += known[0] not in (own, name, meant)
            else:
                named = known or meant or like_id[i]
                (tokenless if named else nameless).append(name)
        if not (tokens >= 0).any():
            there = [name for name in self.tokens if not name.startswith("<")][:3]
            raise ValueError(
                f"none of the {len(names):,} genes (such as {', '.join(names[:3])}) is in the"
                f" dictionaries of {source}, whose genes are such as {', '.join(there) or 'none'};"
                " name genes as they do, or put the authors' gene_name_id_dict beside them"
            )
        said = report(tokens, nameless, tokenless)
        said += f"; {retired:,} retired ids were mapped" if retired else ""
        return Found(tokens, medians, said)

    def save(self, folder: Path) -> None:
        """As the authors' files, by their names."""
        folder.mkdir(parents=True, exist_ok=True)
        for part, name in NAMES.items():
            if part == "mapping" and not self.mapping:
                continue
            with (folder / f"{name}.pkl").open("wb") as file:
                pickle.dump(dict(getattr(self, part)), file, protocol=4)


def report(tokens: np.ndarray, nameless: list[str], tokenless: list[str]) -> str:
    """How many genes have a token, and why the others were dropped.

    >>> report(np.array([5, -1, -1]), ["FOO"], ["LINC1"])
    '1 of 3 genes have a token; dropped: 1 without an Ensembl id (FOO), 1 without a token (LINC1)'
    """
    known = tokens[tokens >= 0]
    words = [
        f"{len(names):,} without {what} ({', '.join(names[:3])}{', ...' * (len(names) > 3)})"
        for what, names in (("an Ensembl id", nameless), ("a token", tokenless))
        if names
    ]
    said = f"{len(known):,} of {len(tokens):,} genes have a token"
    said += f"; dropped: {', '.join(words)}" if words else ""
    shared = len(known) - len(np.unique(known))
    return said + (f"; {shared:,} share theirs with another and are added" if shared else "")


def read(folder: Path) -> Dictionaries:
    """The dictionaries of a folder, `.pkl` as the authors publish them, or `.json`.

    No code in a file is run. Raises ValueError, in one sentence, for a file that is missing,
    holds anything but names and numbers, or does not fit the others.
    """
    known = {part: content(folder, name) for part, name in NAMES.items()}
    for part in ("tokens", "medians"):
        if known[part] is None:
            raise ValueError(
                f"{folder} has no {NAMES[part]}.pkl; put the authors' file of that name there"
                " (gauntlet models fetch geneformer gets it)"
            )
    tokens = {str(name): int(number) for name, number in known["tokens"].items()}
    if (tokens.get("<pad>"), tokens.get("<mask>")) != (0, 1):
        raise ValueError(f"{folder}: its token dictionary must have <pad> at 0 and <mask> at 1")
    medians = {str(name): float(value) for name, value in known["medians"].items()}
    symbols, mapping = (
        {str(k): str(v) for k, v in (known[part] or {}).items()} for part in ("symbols", "mapping")
    )
    return Dictionaries(tokens, medians, symbols, mapping)


def content(folder: Path, name: str) -> Any:
    """What the file of that name holds; None where there is none."""
    exact = [p for end in ("pkl", "json") if (p := folder / f"{name}.{end}").is_file()]
    alike = sorted(p for end in ("pkl", "json") for p in folder.glob(f"*{name}*.{end}"))
    files = exact[:1] or alike
    if not files:
        return None
    if len(files) > 1:
        raise ValueError(
            f"{folder} has several files that could be its {name}"
            f" ({', '.join(p.name for p in files)}); leave one"
        )
    return held(files[0])


def held(path: Path) -> dict[Any, Any]:
    """The dictionary in a pickle or JSON file, plain values alone; no code in it is run.

    Raises ValueError, in one sentence, for anything else.
    """
    try:
        text = path.read_bytes()
        found = json.loads(text) if path.suffix == ".json" else NumbersOnly(io.BytesIO(text)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as a dictionary ({str(error)[:120]}); download it again"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no dictionary")
    return found


class NumbersOnly(pickle.Unpickler):
    """Plain values and NumPy's numbers; anything else in a pickle could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """The few names that dictionaries of numbers need."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "scalar":
            return number
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        raise pickle.UnpicklingError(f"it holds Python code, {module}.{name}, and is not opened")


def number(kind: np.dtype, data: bytes) -> Any:
    """A NumPy number of its bytes."""
    if kind.kind not in "iuf":
        raise pickle.UnpicklingError(f"it holds {kind} values instead of numbers")
    return np.frombuffer(data, kind)[0]


def made_of(names: np.ndarray, scaled: csr_matrix, version: str) -> Dictionaries:
    """Dictionaries of one's own: the median of each gene's non-zero values, as the authors take it
    over Genecorpus-30M, for every gene that these cells express.

    `scaled`: counts / n_counts x 1e4. Raises ValueError where nothing is expressed.

    >>> made_of(np.array(["A", "B"]), csr_matrix([[2.0, 0.0], [4.0, 0.0]]), "v1").medians
    {'A': 3.0}
    """
    columns = scaled.tocsc()
    medians = {
        str(name): float(np.median(values))
        for name, start, end in zip(names, columns.indptr, columns.indptr[1:], strict=False)
        if len(values := (v := columns.data[start:end])[v > 0])
    }
    if not medians:
        raise ValueError("geneformer cannot make dictionaries of cells that express no gene")
    tokens = {name: i for i, name in enumerate([*SPECIAL[version], *medians])}
    return Dictionaries(tokens, medians)


def scaled(values: csr_matrix, n_counts: np.ndarray) -> csr_matrix:
    """values / n_counts x 1e4; cells without counts stay zero."""
    factors = np.divide(TARGET_SUM, n_counts, out=np.zeros(len(n_counts)), where=n_counts > 0)
    out = csr_matrix(values, dtype=np.float64, copy=True)
    out.data *= np.repeat(factors, np.diff(out.indptr))
    return out
