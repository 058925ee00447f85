"""Prepared cells written as an .h5ad file that a user can open."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pandas as pd

from trainables.protocols import Cells


def write_h5ad(cells: Cells, path: Path) -> None:
    """Write prepared cells, whole or not at all, to `path`.

    X is ln(1 + counts per 10,000), `layers["counts"]` holds raw counts where they are known.
    """
    draft = path.with_name(path.name + ".draft")
    copy = ad.AnnData(
        X=cells.X,
        obs=pd.DataFrame(cells.obs),
        var=cells.var,
        layers=dict(cells.layers),
        uns={"gauntlet": dict(cells.uns["gauntlet"])},
    )
    copy.write_h5ad(draft)
    draft.replace(path)
