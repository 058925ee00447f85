"""68,450 blood cells of Zheng et al. 2017, as Boiarsky et al. 2023 processed them for scBERT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import natural_log, read_h5ad
from trainables.origins import Web
from trainables.sources import Facts, Published

SFE = (
    "https://github.com/clinicalml/sc-foundation-eval/raw/1332b3476e5e07c7143f494b178a51ad1c20baf0"
)


def read(paths: list[Path]) -> Any:
    """The file's log2(1 + x) as natural log1p; its genes are those scBERT was pre-trained on."""
    return natural_log(read_h5ad(paths[0]), base=2)


DATASET = Published(
    name="zheng68k",
    summary="68,450 blood cells x 16,906 genes, 11 types: Boiarsky et al. 2023, Tables 1-2, Fig. 2",
    citation="Zheng et al. 2017, Nature Communications, doi:10.1038/ncomms14049; processed by"
    " Boiarsky et al. 2023, doi:10.1101/2023.10.19.563100",
    licence="BSD-3-Clause (the repository); cells CC BY 4.0 (10x Genomics)",
    files=(
        Web(
            "Zheng68K.h5ad.gz",
            f"{SFE}/data/Zheng68K.h5ad.gz",
            git_blob="4bfd6a9e98c94c4b5063fbe2f52d73cf21e739e2",  # of that commit's tree
        ),
    ),
    reader=read,
    values="counts scaled to 1e4 a cell after genes were left out, log2(1 + x) in the file, here"
    " as natural log1p; scBERT's bins are floor(X / ln 2)",
    label_key="celltype",
    split="StratifiedShuffleSplit(test_size=0.2, random_state=2022): 54,760 train, 13,690"
    " validation, on which the paper also reports; drawn by the task, not marked in the file",
    facts=Facts(cells=68_450, genes=16_906, labels=11),
    unknown=("one donor; wells are not marked, so there are no batches",),
)
