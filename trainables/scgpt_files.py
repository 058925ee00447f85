"""Files of scGPT: the variants that its authors publish, and the vocabulary of a fresh network."""

from __future__ import annotations

from pathlib import Path

from trainables.external import External, absolute, find, fingerprint
from trainables.genes.vocabulary import read_vocabulary
from trainables.protocols import Unavailable

DRIVE = "https://drive.google.com/drive/folders"
REPOSITORY = "https://github.com/bowang-lab/scGPT/raw/cebd6fae655b9c585a4807daa3ac31bb764f06b4"
VOCABULARY = "vocab.json"
TOKENS = f"{REPOSITORY}/scgpt/tokenizer/default_census_vocab.json"
PUBLISHED = {
    "human": f"{DRIVE}/1oWh_-ZRdhtoGQ2Fw24HP41FgLoomVo-y",
    "blood": f"{DRIVE}/1kkug5C7NjvXIwQGGaGoqXTk_Lb_pDrBU",
    "kidney": f"{DRIVE}/1S-1AR65DF120kNFpEbWCvRHPhpkGK3kK",
    "vocabulary": f"{TOKENS} (save it as {VOCABULARY})",
}
"""Variants, and where scGPT's README links to them; "vocabulary" is the list of genes alone."""
FILES = {
    **dict.fromkeys(("human", "blood", "kidney"), ("best_model.pt", "args.json", VOCABULARY)),
    "vocabulary": (VOCABULARY,),
}
URLS = {"vocabulary": {VOCABULARY: TOKENS}}


def vocabulary_file(named: str) -> Path:
    """Absolute place of a `vocab.json` that is named by variant, folder or path."""
    from trainables.networks import weights

    if named.endswith(".json"):
        return absolute(named)
    return weights.place(named, "scgpt") / VOCABULARY


def vocabulary(named: str) -> dict[str, int]:
    """Token to number.

    Raises Unavailable for a published vocabulary that was not fetched, and ValueError for a file
    that is missing or is no vocabulary.
    """
    file = vocabulary_file(named)
    if file.is_file():
        return read_vocabulary(file)
    if named in PUBLISHED:
        raise Unavailable(
            f"the vocabulary {named!r} of scgpt is not at {file}; get the authors' with: gauntlet"
            " models fetch scgpt --variant vocabulary, and set vocabulary=vocabulary"
        )
    raise ValueError(f"scgpt: there is no vocabulary at {file}; correct the path")


def vocabulary_identity(named: str) -> str:
    """What stands for a vocabulary in a trial's id: its content, wherever it lies."""
    file = vocabulary_file(named)
    return f"sha256:{fingerprint(file)}" if file.is_file() else f"absent:{named}"


def vocabulary_external(named: str) -> External | None:
    """The file as it travels with a trial; None where it is not needed, or not there."""
    if not named:
        return None
    file = vocabulary_file(named)
    return find(file.parent, [file.name], file.name)


def vocabulary_row(folder: Path) -> dict[str, str]:
    """The one row of a folder that holds a vocabulary alone."""
    tokens = read_vocabulary(folder / VOCABULARY)
    return {"key": "vocabulary", "shape": f"({len(tokens):,} tokens)", "fate": "loaded"}
