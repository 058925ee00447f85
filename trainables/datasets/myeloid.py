"""Tumour-infiltrating myeloid cells of several cancers: scGPT's annotation task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import read_train_test
from trainables.origins import ByHand
from trainables.sources import UNSTATED, Facts, Published

FOLDER = "https://drive.google.com/drive/folders/1VbpApQufZq8efFGakW3y8QDDpY9MBoDS"


def read(paths: list[Path]) -> Any:
    """The reference cancers to train on, the query cancers to test on."""
    return read_train_test(paths[0], paths[1])


DATASET = Published(
    name="myeloid",
    summary="13,178 myeloid cells x 3,000 genes, fixed split of 9,748 and 3,430 (scGPT)",
    citation="Cheng et al. 2021, Cell, doi:10.1016/j.cell.2021.01.010;"
    " processed by Cui et al. 2024, doi:10.1038/s41592-024-02201-0",
    licence=UNSTATED,
    files=(ByHand("reference_adata.h5ad", FOLDER), ByHand("query_adata.h5ad", FOLDER)),
    reader=read,
    values="log-normalised by scGPT's authors over the 3,000 genes they kept; the base is"
    f" {UNSTATED}",
    label_key="cell_type",
    split="the authors' two files: 9,748 train, 3,430 test, marked in obs['split']",
    facts=Facts(cells=13_178, genes=3_000, labels=21, train=9_748, test=3_430),
    inferred=("genes", "labels"),  # 21 follows from a parameter count of Boiarsky et al.
    unknown=(
        "which obs column holds the cancer type is not used by the authors' code: no batches",
        "the 3,000 genes are as others report of these files, not stated by the authors",
    ),
)
