"""Tables of labels, in any order, of more or fewer cells, under names that differ."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pandas as pd

from tests.trainables.file_formats import tables_refused
from tests.trainables.file_formats.table import (
    CELLS,
    LABELS,
    N_CELLS,
    TYPES,
    Given,
    cells,
    h5ad,
    labels,
    read,
    refused,
)


def with_labels(folder: Path, table: pd.DataFrame, note: str = "", **options: str) -> Given:
    """An .h5ad without labels, and a table of them."""
    return Given(h5ad(folder, labelled=False), labels(folder, table, **options), note=note)


def renamed(change) -> pd.DataFrame:
    """The table of labels under other names of cells."""
    return LABELS.set_axis([change(cell) for cell in CELLS], axis=0)


@read
def labels_with_semicolons_and_bom(folder):
    return with_labels(folder, LABELS, sep=";", encoding="utf-8-sig")


@read
def labels_without_suffix(folder):
    return with_labels(folder, renamed(lambda cell: cell[:-2]), note="without their ending")


@read
def labels_with_dots_of_r(folder):
    return with_labels(folder, renamed(lambda cell: cell.replace("-", ".")), note="separates")


@read
def labels_with_a_sample_before(folder):
    return with_labels(folder, renamed(lambda cell: f"s1_{cell}"), note="barcodes alone")


@read
def labels_with_blanks(folder):
    return with_labels(folder, renamed(lambda cell: f" {cell} "))


@read
def labels_of_more_cells(folder):
    more = LABELS.set_axis([cell[:-1] + "2" for cell in CELLS], axis=0)
    return with_labels(folder, pd.concat([LABELS, more]))


@read
def labels_of_fewer_cells(folder):
    given = with_labels(folder, LABELS.iloc[:30], note="names 30 of 40 cells")
    given.cells = 30
    return given


@read
def labels_with_numbers_of_rows(folder):
    table = LABELS.reset_index()
    return with_labels(folder, table.set_axis(range(1, N_CELLS + 1), axis=0), note="'barcode'")


@read
def labels_in_a_later_column(folder):
    table = pd.DataFrame(
        {"cell_type": TYPES, "cell": CELLS}, index=[f"n{i}" for i in range(N_CELLS)]
    )
    return with_labels(folder, table, note="names cells in column 'cell'")


@read
def labels_zipped(folder):
    path = labels(folder)
    with zipfile.ZipFile(folder / "labels.zip", "w") as archive:
        archive.write(path, "labels.csv")
    path.unlink()
    return Given(h5ad(folder, labelled=False), folder / "labels.zip")


@read
def labels_that_replace_a_column(folder):
    path = labels(folder)
    shutil.copy(path, folder / "again.csv")
    return Given(h5ad(folder), folder / "again.csv")


@refused("names none of the cells")
def labels_of_other_cells(folder):
    return with_labels(folder, renamed(lambda cell: cell[::-1].replace("A", "N")))


@refused("names the cell")
def labels_twice(folder):
    return with_labels(folder, pd.concat([LABELS, LABELS]))


@refused("two columns 'cell_type'")
def labels_in_two_columns(folder):
    return with_labels(folder, pd.concat([LABELS, LABELS], axis=1))


@refused("--labels takes a .csv or .tsv")
def labels_in_an_h5ad(folder):
    return Given(h5ad(folder, labelled=False), h5ad(folder, "other.h5ad"))


@refused("there is no file")
def labels_that_are_not_there(folder):
    return Given(h5ad(folder, labelled=False), folder / "nowhere.csv")


@refused("save the sheet as .csv")
def labels_in_excel(folder):
    return Given(h5ad(folder, labelled=False), tables_refused.excel(folder).path)


@refused("numbers its rows from 1")
def labels_by_numbers_that_start_elsewhere(folder):
    source = cells(labelled=False)
    source.obs_names = [str(i) for i in range(N_CELLS)]  # anndata's own, from 0
    source.write_h5ad(folder / "mine.h5ad")
    table = LABELS.set_axis(range(1, N_CELLS + 1), axis=0)  # R's own, from 1
    return Given(folder / "mine.h5ad", labels(folder, table))


@refused("has several cells of one name")
def labels_of_cells_that_share_a_name(folder):
    found = cells(labelled=False)
    found.obs_names = [CELLS[0], *CELLS[:-1]]
    found.write_h5ad(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad", labels(folder))
