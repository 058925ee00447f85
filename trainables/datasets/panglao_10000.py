"""10,000 cells of PanglaoDB: the list of the 16,906 genes, in order, that scBERT knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.datasets.zheng68k import SFE
from trainables.layouts import natural_log, read_h5ad
from trainables.origins import Web
from trainables.sources import UNSTATED, Facts, Published


def read(paths: list[Path]) -> Any:
    """The file's log1p, in the base that it notes, as natural log1p."""
    return natural_log(read_h5ad(paths[0]), base=2)


DATASET = Published(
    name="panglao_10000",
    summary="10,000 human cells x the 16,906 genes of scBERT, without labels",
    citation="Franzen et al. 2019, Database, doi:10.1093/database/baz046; processed by Yang et al."
    " 2022, doi:10.1038/s42256-022-00534-z",
    licence=f"{UNSTATED}; the repository that holds the file is BSD-3-Clause",
    files=(
        Web(
            "panglao_10000.h5ad.gz",
            f"{SFE}/data/panglao_10000.h5ad.gz",
            git_blob="b7c5520c5c22600ef040dceb9bc31e74dd49bb89",  # of that commit's tree
        ),
    ),
    reader=read,
    values="scaled to 1e4 a cell and log1p to the base noted in the file (2 where none is), here"
    " as natural log1p",
    facts=Facts(cells=10_000, genes=16_906),
    inferred=("cells",),  # from the file's name
    unknown=("a README calls it panglao_1000; how its cells were drawn is not stated",),
)
