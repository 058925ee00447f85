"""Labels, batches and the options that name them, which the cells do not bear out."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from tests.trainables.broken_inputs.table import broken, saved, some_cells


@broken("did you mean 'major_type'")
def missing_label_key(folder):
    return [*saved(folder, some_cells(major_type="a")), "--label-key", "major_typ"]


@broken("for --batch-key")
def missing_batch_key(folder):
    return [*saved(folder, some_cells()), "--batch-key", "plate"]


@broken("there are: louvain")
def clusters_are_no_labels(folder):
    return saved(folder, some_cells(cell_type=None, louvain=["0", "1"] * 15))


@broken("obs['celltype'] or obs['CellType']")
def two_label_columns(folder):
    types = ["a", "b"] * 15
    return saved(folder, some_cells(cell_type=None, celltype=types, CellType=types[::-1]))


@broken("60 different numbers")
def numbers_for_labels(folder):
    cells = ad.concat([some_cells(), some_cells()], index_unique="-")
    cells.obs["cell_type"] = np.linspace(0, 1, 60)
    return saved(folder, cells)


@broken("60 different values for 60 cells")
def names_for_labels(folder):
    cells = ad.concat([some_cells(), some_cells()], index_unique="-")
    cells.obs["cell_type"] = [f"barcode {i}" for i in range(60)]
    return saved(folder, cells)


@broken("no cell has a usable label")
def all_labels_missing(folder):
    return saved(folder, some_cells(cell_type=pd.Categorical([None] * 30, ["a", "b"])))


@broken("no cell has a usable label")
def all_types_too_small(folder):
    return [*saved(folder, some_cells()), "--min-cells", "20"]


@broken("nothing to tell apart")
def one_class(folder):
    return saved(folder, some_cells(cell_type="a"))


@broken("too few cells of 'rare' (1)")
def tiny_class(folder):
    return saved(folder, some_cells(cell_type=["a", "b"] * 14 + ["a", "rare"]))


@broken("2 cells have no batch")
def batches_missing(folder):
    return [
        *saved(folder, some_cells(plate=["p1", "p2"] * 14 + [None, None])),
        "--batch-key",
        "plate",
    ]


@broken("names none of the cells")
def labels_of_other_cells(folder):
    (folder / "labels.csv").write_text("cell,cell_type\nX1,a\nX2,b\n")
    return [*saved(folder, some_cells(cell_type=None)), "--labels", str(folder / "labels.csv")]


@broken("names the cell 'cell1' twice")
def labels_twice(folder):
    (folder / "labels.csv").write_text("cell,cell_type\ncell1,a\ncell1,b\n")
    return [*saved(folder, some_cells(cell_type=None)), "--labels", str(folder / "labels.csv")]


@broken("there is no file")
def labels_nowhere(folder):
    return [*saved(folder, some_cells()), "--labels", str(folder / "labels.csv")]


@broken("describe --data")
def keys_without_data(folder):
    return ["--label-key", "cell_type"]
