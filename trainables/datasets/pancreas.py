"""Human pancreas of five studies: the annotation task of TOSICA and scGPT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import read_train_test
from trainables.origins import ByHand
from trainables.sources import UNSTATED, Facts, Published

FOLDER = "https://drive.google.com/drive/folders/1s9XjcSiPC-FYV3VeHrEa7SeZetrthQVV"


def read(paths: list[Path]) -> Any:
    """Some studies to train on, the others to test on."""
    return read_train_test(paths[0], paths[1])


DATASET = Published(
    name="pancreas",
    summary="14,818 pancreas cells x 3,000 genes, fixed split of 10,600 and 4,218 (scGPT)",
    citation="Chen et al. 2023, Nature Communications, doi:10.1038/s41467-023-35923-4;"
    " processed by Cui et al. 2024, doi:10.1038/s41592-024-02201-0",
    licence=UNSTATED,
    files=(ByHand("demo_train.h5ad", FOLDER), ByHand("demo_test.h5ad", FOLDER)),
    reader=read,
    values="log-normalised by scGPT's authors over the 3,000 genes they kept; the base is"
    f" {UNSTATED}",
    label_key="Celltype",
    split="the authors' two files: 10,600 train, 4,218 test, marked in obs['split']",
    facts=Facts(cells=14_818, genes=3_000, labels=14, train=10_600, test=4_218),
    inferred=("genes", "labels"),  # 14 over both files together, from the text
    unknown=(
        "the test file lacks some trained types and has one never trained, 'MHC class II'",
        "the 3,000 genes are as others report of these files, not stated by the authors",
    ),
)
