"""10x .h5, loom, and what else is HDF5."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from tests.trainables.file_formats.table import (
    CELLS,
    COUNTS,
    GENES,
    IDS,
    N_GENES,
    TYPES,
    Given,
    cells,
    labels,
    read,
    refused,
)


def tenx(folder: Path, name: str = "mine.h5", antibodies: int = 0, **parts: list[str]) -> Path:
    """Cell Ranger's .h5 of version 3, perhaps with antibodies that outweigh the RNA."""
    proteins = np.full((len(CELLS), antibodies), 500)
    stored = sparse.csr_matrix(np.hstack([COUNTS, proteins]).astype(np.int32))
    marks = [f"CD{i}" for i in range(antibodies)]
    texts = {
        "barcodes": CELLS,
        "features/name": GENES + marks,
        "features/id": IDS + marks,
        "features/feature_type": ["Gene Expression"] * N_GENES + ["Antibody Capture"] * antibodies,
    } | parts
    with h5py.File(folder / name, "w") as file:
        for part in ("data", "indices", "indptr"):
            file[f"matrix/{part}"] = getattr(stored, part)
        file["matrix/shape"] = np.array(stored.T.shape)
        for key, values in texts.items():
            file[f"matrix/{key}"] = np.array(values, dtype="S")
    return folder / name


@read
def tenx_with_antibodies(folder):
    return Given(tenx(folder, antibodies=3), labels(folder), note="3 features that are no genes")


@read
def tenx_without_genome_as_cellbender_writes(folder):
    path = tenx(folder)
    with h5py.File(path, "r+") as file:
        file["matrix/latent_scale"] = np.ones(len(CELLS))
    return Given(path, labels(folder))


@read
def tenx_named_h5ad(folder):
    return Given(tenx(folder, "mine.h5ad"), labels(folder))


@read
def tenx_compressed(folder):
    path = tenx(folder)
    (folder / "mine.h5.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return Given(folder / "mine.h5.gz", labels(folder))


def tenx_2(folder: Path, *genomes: str) -> Path:
    """Cell Ranger's .h5 of version 2, with a matrix per genome."""
    stored = sparse.csr_matrix(COUNTS)
    with h5py.File(folder / "mine.h5", "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(stored, part)
            group["shape"] = np.array(stored.T.shape)
            for key, values in {"barcodes": CELLS, "genes": IDS, "gene_names": GENES}.items():
                group[key] = np.array(values, dtype="S")
    return folder / "mine.h5"


@read
def tenx_of_version_2(folder):
    return Given(tenx_2(folder, "GRCh38"), labels(folder))


@refused("2 genomes (hg19, mm10)")
def tenx_of_two_genomes(folder):
    return Given(tenx_2(folder, "hg19", "mm10"), labels(folder))


@refused("2 genomes (GRCh38, mm10)")
def tenx_3_of_two_genomes(folder):
    half = N_GENES // 2
    genomes = ["GRCh38"] * half + ["mm10"] * half
    return Given(tenx(folder, **{"features/genome": genomes}), labels(folder))


@refused("counts probes and not genes")
def tenx_of_probes(folder):
    regions = {"features/probe_region": ["unspliced"] * N_GENES}
    return Given(tenx(folder, **regions), labels(folder))


@refused("filtered_feature_bc_matrix.h5 of the same folder")
def molecule_info(folder):
    with h5py.File(folder / "molecule_info.h5", "w") as file:
        file["barcode_idx"] = np.arange(9)
        file["barcodes"] = np.array(CELLS, dtype="S")
    return Given(folder / "molecule_info.h5")


def loom(folder: Path, cell_names: str = "CellID", gene_names: str = "Gene") -> Path:
    """A loom file, as loompy lays it out."""
    with h5py.File(folder / "mine.loom", "w") as file:
        file["matrix"] = COUNTS.T.astype(np.float32)
        file[f"col_attrs/{cell_names}"] = np.array(CELLS, dtype="S")
        file["col_attrs/cell_type"] = np.array(TYPES, dtype=h5py.string_dtype())
        file["col_attrs/embedding"] = np.zeros((len(CELLS), 2))
        file[f"row_attrs/{gene_names}"] = np.array(GENES, dtype="S")
        file["layers/spliced"] = COUNTS.T.astype(np.float32)
    return folder / "mine.loom"


@read
def loom_of_velocyto(folder):
    return Given(loom(folder))


@read
def loom_of_anndata(folder):
    return Given(loom(folder, "obs_names", "var_names"))


@refused('mudata.read("mine.h5ad")["rna"]')
def mudata_named_h5ad(folder):
    with h5py.File(folder / "mine.h5ad", "w") as file:
        for part in ("obs", "var", "mod/rna", "mod/prot"):
            file.create_group(part)
    return Given(folder / "mine.h5ad")


@refused('mudata.read("mine.h5mu")["gex"]')
def mudata(folder):
    with h5py.File(folder / "mine.h5mu", "w") as file:
        file.create_group("mod/adt")
        file.create_group("mod/gex")
    return Given(folder / "mine.h5mu")


@refused("SeuratDisk::Convert")
def seuratdisk(folder):
    with h5py.File(folder / "mine.h5Seurat", "w") as file:
        file.create_group("assays/RNA")
    return Given(folder / "mine.h5Seurat")


@refused("SeuratDisk::Convert")
def seuratdisk_named_h5(folder):
    with h5py.File(folder / "mine.h5", "w") as file:
        file.create_group("assays/RNA")
    return Given(folder / "mine.h5")


@refused("pandas.read_hdf")
def pandas_in_hdf5(folder):
    with h5py.File(folder / "mine.h5", "w") as file:
        file.create_group("df").attrs["pandas_type"] = "frame"
    return Given(folder / "mine.h5")


@refused("of no kind that can be read")
def pickle(folder):
    pd.to_pickle(cells().obs, folder / "mine.pkl")
    return Given(folder / "mine.pkl")


@read
def loom_of_scenic(folder):
    """Embeddings are pairs of numbers, and describe no cell."""
    path = loom(folder)
    with h5py.File(path, "r+") as file:
        pairs = np.zeros(len(CELLS), dtype=[("_X", "f4"), ("_Y", "f4")])
        file["col_attrs/Embedding"] = pairs
    return Given(path)
