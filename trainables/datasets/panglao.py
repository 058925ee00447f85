"""1.36 million human cells of PanglaoDB, on which scBERT was pre-trained; they carry no labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import natural_log, read_h5ad
from trainables.origins import ByHand
from trainables.sources import UNSTATED, Facts, Published

DRIVE = "https://drive.google.com/file/d/1fNZbKx6LPeoS0hbVYJFI8jlDlNctZxlU/view"


def read(paths: list[Path]) -> Any:
    """The file's log1p, in the base that it notes, as natural log1p."""
    return natural_log(read_h5ad(paths[0]), base=2)


DATASET = Published(
    name="panglao",
    summary="1.36 million human cells x 16,906 genes without labels: scBERT's pre-training",
    citation="Franzen et al. 2019, Database, doi:10.1093/database/baz046; processed by Yang et al."
    " 2022, doi:10.1038/s42256-022-00534-z",
    licence=UNSTATED,
    # the name is the default of --data_path in scBERT's pretrain.py
    files=(ByHand("panglao_human.h5ad", DRIVE),),
    reader=read,
    values="scaled to 1e4 a cell and log1p to the base noted in the file (2 where none is), here"
    " as natural log1p",
    split="train_test_split(test_size=0.05, random_state=2021); not marked in the file",
    facts=Facts(cells=1_357_593, genes=16_906),
    inferred=("cells",),  # from 67,880 held-out cells; the text says 1.12 million
    unknown=(
        "the paper says 1.12 million cells, its histogram adds up to 1,357,593",
        "what the linked archive is called and whether it is packed is not stated",
    ),
)
