"""483,152 cells of 24 organs of 15 donors: Tabula Sapiens, first release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import counts_from_layer, read_h5ad
from trainables.origins import Web
from trainables.sources import Facts, Published


def read(paths: list[Path]) -> Any:
    """Raw counts, if the file has them; X is corrected for ambient RNA and logged."""
    return counts_from_layer(read_h5ad(paths[0]), "raw_counts")


DATASET = Published(
    name="tabula_sapiens",
    summary="483,152 cells of 24 organs and 15 donors (Kedzierska et al. 2023)",
    citation="The Tabula Sapiens Consortium 2022, Science, doi:10.1126/science.abl4896",
    licence="CC BY 4.0, as the consortium's published models state; see figshare, article 14267219",
    files=(Web("TabulaSapiens.h5ad.zip", "https://figshare.com/ndownloader/files/34702114"),),
    reader=read,
    values="log-normalised by the authors, unless layers['raw_counts'] could be used",
    # no column has 24 cell types, but there are 24 organs; for types, replace this by
    # "cell_ontology_class"
    label_key="organ_tissue",
    batch_key=("donor", "method"),
    facts=Facts(cells=483_152, labels=24, batches=27),
    inferred=("labels", "batches"),
    unknown=(
        "the paper counts 24 labels and 27 batches without naming columns: organs, and donor with"
        " sequencing method, are inferred",
        "figshare has a later file of the same name (40067134); which one was used is not stated",
    ),
)
