"""8,444 cells of five human livers: the second data set of Boiarsky et al. 2024."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.origins import Web
from trainables.sources import UNSTATED, Facts, Published

GEO = "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE115nnn/GSE115469/suppl"


def read(paths: list[Path]) -> Any:
    """GEO's genes x cells table turned around, and its annotation joined by cell name.

    The six hepatocyte clusters become one type, as the paper has it; the authors' own 20 types
    stay in obs["CellType"].
    """
    import anndata as ad
    import pandas as pd
    from scipy import sparse

    blocks = [
        (sparse.csr_matrix(block.to_numpy("float32")), block.index, block.columns)
        for block in pd.read_csv(paths[0], index_col=0, chunksize=1000)  # dense, it needs 1.3 GB
    ]
    values = sparse.vstack([matrix for matrix, _, _ in blocks]).T.tocsr()
    genes = pd.Index([gene for _, names, _ in blocks for gene in names.astype(str)])
    cells = blocks[0][2].astype(str)
    about = pd.read_csv(paths[1], sep="\t", dtype=str).set_index("CellName").reindex(cells)
    about["celltype"] = about["CellType"].str.replace(r"^Hepatocyte_\d$", "Hepatocyte", regex=True)
    return ad.AnnData(X=values, obs=about, var=pd.DataFrame(index=genes))


DATASET = Published(
    name="macparland",
    summary="8,444 liver cells x 20,007 genes, 15 types, 5 donors (GSE115469)",
    citation="MacParland et al. 2018, Nature Communications, doi:10.1038/s41467-018-06318-7",
    licence=f"{UNSTATED} on GEO",
    files=(
        Web("GSE115469_Data.csv.gz", f"{GEO}/GSE115469_Data.csv.gz"),
        Web("GSE115469_CellClusterType.txt.gz", f"{GEO}/GSE115469_CellClusterType.txt.gz"),
    ),
    reader=read,
    values=f"log-normalised by the authors, up to 21.7; scale and base are {UNSTATED}",
    label_key="celltype",
    batch_key="Sample",
    split="as for zheng68k; drawn by the task, not marked in the file",
    facts=Facts(cells=8_444, genes=20_007, labels=15, batches=5),
    inferred=("batches",),
    unknown=(
        "Boiarsky et al. keep 8,434 of these cells and 16,906 genes: those of panglao_10000, and"
        " cells with 200 of them",
    ),
)
