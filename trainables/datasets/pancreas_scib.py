"""16,382 pancreas cells of nine runs of six protocols: the integration task of scIB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import counts_from_layer, read_h5ad
from trainables.origins import Web
from trainables.sources import Facts, Published


def read(paths: list[Path]) -> Any:
    """Counts where the file has them; the four inDrop runs count as one batch, as in the paper."""
    cells = counts_from_layer(read_h5ad(paths[0]), "counts")
    protocol = cells.obs["tech"].astype(str).str.lower()
    cells.obs["protocol"] = protocol.str.replace("indrop[0-9]*", "indrop", regex=True)
    return cells


DATASET = Published(
    name="pancreas_scib",
    summary="16,382 pancreas cells x 19,093 genes, 14 types, 6 batches (scIB; Kedzierska et al.)",
    citation="Luecken et al. 2022, Nature Methods, doi:10.1038/s41592-021-01336-8",
    licence="see figshare, article 12420968",
    files=(
        Web(
            "human_pancreas_norm_complexBatch.h5ad",
            "https://figshare.com/ndownloader/files/24539828",
        ),
    ),
    reader=read,
    values="log-normalised by scIB's authors, unless layers['counts'] could be used",
    label_key="celltype",
    batch_key="protocol",
    facts=Facts(cells=16_382, genes=19_093, labels=14, batches=6),
    unknown=("Kedzierska et al. feed X, not the counts, to Geneformer and to the HVG baseline",),
)
