"""Cortex of multiple sclerosis patients, healthy cells to train on: scGPT's annotation task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import read_train_test
from trainables.origins import ByHand
from trainables.sources import UNSTATED, Facts, Published

FOLDER = "https://drive.google.com/drive/folders/1Qd42YNabzyr2pWt9xoY4cVMTAxsNBt4v"


def read(paths: list[Path]) -> Any:
    """Symbols are in var['gene_name']; the index holds Ensembl ids."""
    return read_train_test(paths[0], paths[1], gene_key="gene_name")


DATASET = Published(
    name="ms",
    summary="21,312 cortex cells x 3,000 genes, fixed split of 7,844 and 13,468 (scGPT)",
    citation="Schirmer et al. 2019, Nature, doi:10.1038/s41586-019-1404-z;"
    " processed by Cui et al. 2024, doi:10.1038/s41592-024-02201-0",
    licence=UNSTATED,
    files=(ByHand("c_data.h5ad", FOLDER), ByHand("filtered_ms_adata.h5ad", FOLDER)),
    reader=read,
    values="log-normalised by scGPT's authors over the 3,000 genes they kept; the base is"
    f" {UNSTATED}",
    label_key="Factor Value[inferred cell type - authors labels]",
    split="the authors' two files: 7,844 train, 13,468 test, marked in obs['split']",
    facts=Facts(cells=21_312, genes=3_000, train=7_844, test=13_468),
    inferred=("genes",),
    unknown=(
        "the number of cell types is not in the papers at hand, so it is not checked",
        "the 3,000 genes are as others report of these files, not stated by the authors",
    ),
)
