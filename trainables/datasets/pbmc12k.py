"""11,990 blood cells of one donor in two 10x runs, through scvi-tools' own loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.layouts import read_h5ad
from trainables.origins import Made
from trainables.sources import UNSTATED, Facts, Published


def make(scvi_data: Any, folder: Path) -> Any:
    """What `scvi.data.pbmc_dataset` gives, without the quality tables that nobody reads."""
    import anndata as ad

    cells = scvi_data.pbmc_dataset(save_path=f"{folder}/")
    obs = cells.obs[["str_labels", "batch"]].astype(str)
    # joining the two runs gives the column a suffix in some versions of anndata
    symbols = cells.var[[key for key in cells.var if str(key).startswith("gene_symbols")][:1]]
    var = symbols.astype(str).set_axis(["gene_symbols"], axis=1)
    return ad.AnnData(X=cells.X, obs=obs, var=var)


def read(paths: list[Path]) -> Any:
    """Symbols as names; the loader itself names genes by Ensembl id."""
    cells = read_h5ad(paths[0])
    cells.var["ensembl_id"] = cells.var_names.astype(str)
    cells.var_names = cells.var["gene_symbols"].astype(str)
    cells.var_names_make_unique()
    return cells


DATASET = Published(
    name="pbmc12k",
    summary="11,990 blood cells x 3,346 genes, 9 types, 2 batches (scvi-tools; Kedzierska et al.)",
    citation="Gayoso et al. 2022, Nature Biotechnology, doi:10.1038/s41587-021-01206-w; cells of"
    " 10x Genomics (pbmc4k and pbmc8k)",
    licence=f"scvi-tools BSD-3-Clause; its metadata: {UNSTATED}; cells CC BY 4.0 (10x Genomics)",
    # scvi-tools downloads and joins several files, so what is kept, and hashed, is its result
    files=(Made("pbmc12k.h5ad", "scvi.data", "scvi", make),),
    reader=read,
    values="raw UMI counts",
    label_key="str_labels",
    batch_key="batch",
    facts=Facts(cells=11_990, genes=3_346, labels=9, batches=2),
    unknown=(
        "the hash is of a file written here, so other versions of anndata may give another",
        "scvi-tools downloads a pickle among others and checks no hash",
    ),
)
