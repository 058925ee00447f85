"""The liver cells of `macparland_scbert` with the 20 types of their authors."""

from __future__ import annotations

import dataclasses

from trainables.datasets.macparland_scbert import DATASET as MERGED
from trainables.sources import Facts

DATASET = dataclasses.replace(
    MERGED,
    name="macparland_scbert_20",
    summary="8,434 liver cells x the 16,906 genes of scBERT, 20 types, hepatocytes unmerged",
    label_key="CellType",
    facts=Facts(cells=8_434, genes=16_906, labels=20, batches=5),
)
