"""Names of genes as models look them up: Ensembl ids in the form that does not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

ENSEMBL = r"(?i)^ENS[A-Z]*GR?\d+(\.\d+)?(_PAR_Y)?$"
"""An Ensembl id of a gene, of any species; a symbol with a dot, RP11-206L10.2, is none."""


def bare(names: Any) -> np.ndarray:
    """Ensembl ids without version and without `_PAR_Y`; symbols, which may have a dot, as they are.

    Older GENCODE writes a gene of chromosome Y's copy as ENSGR instead of ENSG0.

    >>> bare(["ENSG00000000003.15", "ENSG00000002586.20_PAR_Y", "RP11-206L10.2"]).tolist()
    ['ENSG00000000003', 'ENSG00000002586', 'RP11-206L10.2']
    >>> bare(["ENSGR0000002586", "ensmusg00000000001.5"]).tolist()
    ['ENSG00000002586', 'ENSMUSG00000000001']
    """
    texts = pd.Series(np.asarray(names, dtype=str), dtype=object)
    ids: Any = texts[is_id(texts)].str.upper()
    ids = ids.str.replace(r"(\.\d+)?(_PAR_Y)?$", "", regex=True)
    texts[ids.index] = ids.str.replace(r"^ENSGR(\d{10})$", r"ENSG0\1", regex=True)
    return texts.to_numpy(dtype=object)


def is_id(names: Any) -> np.ndarray:
    """Mask of the names that are Ensembl ids of genes."""
    texts: Any = pd.Series(np.asarray(names, dtype=str), dtype=object).str
    return texts.match(ENSEMBL).to_numpy(dtype=bool)


def ids_beside(var: pd.DataFrame) -> np.ndarray:
    """Ensembl id of each gene: that of the column `ensembl_id`, else its name, in bare form."""
    names = bare(var.index)
    if "ensembl_id" not in var:
        return names
    ids = bare(var["ensembl_id"])
    return np.where(is_id(ids), ids, names)
