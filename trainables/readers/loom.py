"""Loom files: genes x cells in HDF5, read without loompy, which is no longer kept up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.matrices import parts
from trainables.readers.anndata_files import readable

CELL_NAMES = ("CellID", "obs_names", "cell_names", "Cell", "cell", "barcode", "barcodes")
GENE_NAMES = ("Gene", "var_names", "gene_names", "gene", "genes", "Accession")
"""Attributes that name cells and genes, likeliest first (https://linnarssonlab.org/loompy)."""


def loom(file: Any, path: Path) -> Any:
    """Return the cells of an open loom file; its matrices are turned, and are in memory."""
    with readable(path, ".loom file", "it is damaged, or is no loom file at all"):
        obs = attributes(file["col_attrs"], CELL_NAMES)
        var = attributes(file["row_attrs"], GENE_NAMES)
        layers = {name: turned(values) for name, values in file.get("layers", {}).items()}
        return ad.AnnData(turned(file["matrix"]), obs=obs, var=var, layers=layers)


def attributes(group: Any, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the attributes of one value per row or column, indexed by the one of names."""
    columns = {}
    for name, element in group.items():
        if element.ndim == 1 and element.dtype.names is None:  # SCENIC keeps embeddings, too
            values = element[()]
            text = values.dtype.kind in "OS"
            columns[name] = element.asstr()[()] if text else values
    frame = pd.DataFrame(columns)
    index = next((name for name in names if name in frame), None)
    frame.index = pd.Index(frame[index] if index else np.arange(len(frame))).astype(str)
    frame.index.name = None
    return frame if index is None else frame.drop(columns=index)


def turned(matrix: Any) -> sparse.csr_matrix:
    """Return cells x genes as CSR from genes x cells, some genes at a time."""
    rows, columns = matrix.shape
    blocks = [sparse.csc_matrix(matrix[part].T) for part in parts(rows, max(1, columns))]
    return sparse.csr_matrix(sparse.hstack(blocks) if blocks else (columns, rows))
