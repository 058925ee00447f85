"""329,762 immune cells of 16 tissues of 12 donors: the Cross-tissue Immune Cell Atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import counts_from_layer, read_h5ad
from trainables.origins import Web
from trainables.sources import UNSTATED, Facts, Published


def read(paths: list[Path]) -> Any:
    """Counts where the file has them, which is what its name promises."""
    return counts_from_layer(read_h5ad(paths[0]), "counts")


DATASET = Published(
    name="immune",
    summary="329,762 immune cells of 12 donors, 45 types (Kedzierska et al. 2023)",
    citation="Dominguez Conde et al. 2022, Science, doi:10.1126/science.abl5197",
    licence=f"{UNSTATED} at https://www.tissueimmunecellatlas.org",
    files=(
        Web(
            "CountAdded_PIP_global_object_for_cellxgene.h5ad",
            "https://cellgeni.cog.sanger.ac.uk/pan-immune"
            "/CountAdded_PIP_global_object_for_cellxgene.h5ad",
        ),
    ),
    reader=read,
    values="log-normalised by the authors, unless layers['counts'] could be used",
    label_key="Manually_curated_celltype",
    batch_key="Donor",
    facts=Facts(cells=329_762, labels=45),
    inferred=("labels",),
    unknown=(
        "the paper counts 31 batches without naming the column: here a batch is one of 12 donors",
        "which of the atlas's two files the paper used, with counts or without, is not stated",
    ),
)
