"""68,579 fresh blood cells of Zheng et al. 2017 with their raw counts, as 10x Genomics has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import read_10x_archive
from trainables.origins import Web
from trainables.sources import Facts, Published

TENX = "https://cf.10xgenomics.com/samples/cell-exp/1.1.0/fresh_68k_pbmc_donor_a"
LABELS = (
    "https://raw.githubusercontent.com/10XGenomics/single-cell-3prime-paper/master"
    "/pbmc68k_analysis/68k_pbmc_barcodes_annotation.tsv"
)


def read(paths: list[Path]) -> Any:
    """Counts, with the annotation joined by barcode and never by position."""
    import pandas as pd

    cells = read_10x_archive(paths[0])
    labels = pd.read_csv(paths[1], sep="\t", dtype=str).set_index("barcodes")["celltype"]
    cells.obs["celltype"] = labels.reindex(cells.obs_names).to_numpy()
    return cells


DATASET = Published(
    name="zheng68k_counts",
    summary="68,579 blood cells x 32,738 genes, 11 types, raw counts (Zheng et al. 2017)",
    citation="Zheng et al. 2017, Nature Communications, doi:10.1038/ncomms14049",
    licence="CC BY 4.0 (10x Genomics)",
    files=(
        # neither source publishes a hash; these are those others recorded of the same addresses
        Web(
            "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz",
            f"{TENX}/fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz",
            sha256="3f35f37ff344bc9b32f97cd003ac986ebb9b5d7f31006c53dff4cb38da267931",
        ),
        Web(
            "68k_pbmc_barcodes_annotation.tsv",
            LABELS,
            sha256="98dc85c047b56cb209ece200b7bebeb2ad53634ff3d5f42143987f59510624b3",
        ),
    ),
    reader=read,
    values="raw UMI counts",
    label_key="celltype",
    split="none; scBERT's authors start from these cells and keep those with 200 of their genes",
    facts=Facts(cells=68_579, genes=32_738, labels=11),
    unknown=("labels are correlations with sorted populations, not sorted by FACS themselves",),
)
