"""Cell Ranger's .h5, of any version, and CellBender's, which has the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.readers.anndata_files import readable


def tenx(file: Any, tables: list[str], path: Path) -> Any:
    """Return the cells of an open 10x file, all its features included.

    Ids are in `var["gene_ids"]` and kinds of features in `var["feature_types"]`. Raises ValueError
    for matrices of several genomes.
    """
    if len(tables) > 1:
        refuse_genomes(sorted(tables), path)
    group = file[tables[0]]
    if "probe_region" in group.get("features", ()):
        raise ValueError(
            f"{path.name} counts probes and not genes; give filtered_feature_bc_matrix.h5 of the"
            " same run"
        )
    with readable(path, "10x .h5 file", "it is damaged; copy it again from Cell Ranger's output"):
        shape = tuple(int(length) for length in group["shape"][()])
        parts = tuple(group[part][()] for part in ("data", "indices", "indptr"))
        counts = sparse.csr_matrix(parts, shape=(shape[1], shape[0]))
        counts.check_format(full_check=True)
        var = features(group)
        obs = pd.DataFrame(index=pd.Index(group["barcodes"].asstr()[()]))
    genomes = genomes_of(var)
    if len(genomes) > 1:
        refuse_genomes(genomes, path)
    return ad.AnnData(counts, obs=obs, var=var)


def features(group: Any) -> pd.DataFrame:
    """Return names, ids, kinds and genomes of the features, as far as the file has them."""
    if "features" not in group:  # Cell Ranger before 3
        names, ids = group["gene_names"].asstr()[()], group["genes"].asstr()[()]
        return pd.DataFrame({"gene_ids": ids}, index=pd.Index(names))
    about = group["features"]
    columns = {"id": "gene_ids", "feature_type": "feature_types", "genome": "genome"}
    found = {new: about[old].asstr()[()] for old, new in columns.items() if old in about}
    return pd.DataFrame(found, index=pd.Index(about["name"].asstr()[()]))


def genomes_of(var: pd.DataFrame) -> list[str]:
    """Return the genomes of the features that are genes; none where the file does not say."""
    if "genome" not in var:
        return []
    genes = np.ones(len(var), dtype=bool)
    if "feature_types" in var:
        genes = var["feature_types"].eq("Gene Expression").to_numpy()
    return sorted({genome for genome in var["genome"][genes] if genome})


def refuse_genomes(genomes: list[str], path: Path) -> None:
    """Raise ValueError for cells whose genes are of several genomes."""
    call = f'scanpy.read_10x_h5("{path.name}", genome="{genomes[0]}")'
    raise ValueError(
        f"{path.name} holds genes of {len(genomes)} genomes ({', '.join(genomes)}); write those of"
        f' one: {call}.write_h5ad("mine.h5ad")'
    )
