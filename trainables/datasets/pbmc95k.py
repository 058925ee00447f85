"""94,655 blood cells in ten populations, each sorted and sequenced by itself (10x, 2017)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import read_10x_archive
from trainables.origins import Web
from trainables.sources import Facts, Published

TENX = "https://cf.10xgenomics.com/samples/cell-exp/1.1.0"
POPULATIONS = {
    "b_cells": "CD19+ B",
    "cd14_monocytes": "CD14+ Monocyte",
    "cd34": "CD34+",
    "cd4_t_helper": "CD4+ T Helper",
    "cd56_nk": "CD56+ NK",
    "cytotoxic_t": "CD8+ Cytotoxic T",
    "memory_t": "CD4+/CD45RO+ Memory T",
    "naive_cytotoxic": "CD8+/CD45RA+ Naive Cytotoxic T",
    "naive_t": "CD4+/CD45RA+/CD25- Naive T",
    "regulatory_t": "CD4+/CD25+ Regulatory T",
}


def archive(population: str) -> str:
    """The name of a population's file at 10x Genomics."""
    return f"{population}_filtered_gene_bc_matrices.tar.gz"


def read(paths: list[Path]) -> Any:
    """All populations together; a cell's label is the population it was sorted into."""
    import anndata as ad

    parts = {
        label: read_10x_archive(path)
        for label, path in zip(POPULATIONS.values(), paths, strict=True)
    }
    return ad.concat(parts, label="population", index_unique="-", merge="same")


DATASET = Published(
    name="pbmc95k",
    summary="94,655 blood cells x 32,738 genes, 10 sorted types, 1 batch (Kedzierska et al. 2023)",
    citation="Zheng et al. 2017, Nature Communications, doi:10.1038/ncomms14049",
    licence="CC BY 4.0 (10x Genomics)",
    files=tuple(Web(archive(name), f"{TENX}/{name}/{archive(name)}") for name in POPULATIONS),
    reader=read,
    values="raw UMI counts",
    label_key="population",
    facts=Facts(cells=94_655, genes=32_738, labels=10, batches=1),
    inferred=("cells", "genes"),
    unknown=(
        "the paper says 95k cells from 10x Genomics and 10 labels; that these are the ten sorted"
        " populations is inferred",
        "each population is a run of its own, so label and run cannot be told apart",
    ),
)
