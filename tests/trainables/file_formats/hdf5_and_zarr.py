"""AnnData in HDF5 and zarr, 10x .h5, loom, and what else is HDF5."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
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
    h5ad,
    labels,
    read,
    refused,
)

# ---- .h5ad ---------------------------------------------------------------------------------------


@read
def plain_h5ad(folder):
    return Given(h5ad(folder))


@read
def unicode_path(folder):
    home = folder / "mes données (v2) %s"
    home.mkdir()
    return Given(h5ad(home, 'it\'s "αβ" 100% [final].h5ad'))


@read
def upper_case_ending(folder):
    return Given(h5ad(folder).rename(folder / "MINE.H5AD"))


@read
def link_to_a_file(folder):
    (folder / "link.h5ad").symlink_to(h5ad(folder))
    return Given(folder / "link.h5ad")


@read
def anndata_named_h5(folder):
    return Given(h5ad(folder).rename(folder / "mine.h5"))


@read
def anndata_without_an_ending(folder):
    return Given(h5ad(folder).rename(folder / "mine"))


@read
def compressed_whole(folder):
    path = h5ad(folder)
    (folder / "mine.h5ad.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return Given(folder / "mine.h5ad.gz")


@read
def compressed_but_not_named_so(folder):
    path = h5ad(folder)
    path.write_bytes(gzip.compress(path.read_bytes()))
    return Given(path)


@read
def zipped_h5ad_beside_a_readme(folder):
    (folder / "home").mkdir()
    h5ad(folder / "home")
    (folder / "home" / "README.txt").write_text("Cells of a study.\n")
    return Given(Path(shutil.make_archive(str(folder / "mine"), "zip", folder / "home")))


@read
def half_precision(folder):
    source = cells()
    source.X = source.X.toarray().astype(np.float16)
    source.write_h5ad(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")


@read
def integers_of_16_bits(folder):
    source = cells()
    source.X = source.X.astype(np.uint16)
    source.write_h5ad(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")


@read
def columns_first(folder):
    source = cells()
    source.X = source.X.tocsc()
    source.write_h5ad(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")


@read
def raw_is_null(folder):
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        write_elem(file, "raw", None)
    return Given(path)


@read
def x_is_null_and_a_layer_has_counts(folder):
    source = cells()
    source.layers["counts"] = source.X
    source.write_h5ad(folder / "mine.h5ad")
    with h5py.File(folder / "mine.h5ad", "r+") as file:
        del file["X"]
        write_elem(file, "X", None)
    return Given(folder / "mine.h5ad")


@read
def no_x_and_a_layer_has_counts(folder):
    source = cells()
    source.layers["counts"] = source.X
    del source.X
    source.write_h5ad(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")


@read
def a_layer_is_null(folder):
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        write_elem(file, "layers/scaled", None)
    return Given(path)


def of_unknown_encoding(path: Path, element: str) -> None:
    """Change an element's encoding to one that no anndata has."""
    with h5py.File(path, "r+") as file:
        file[element].attrs["encoding-type"] = "datetime-array"
        file[element].attrs["encoding-version"] = "9.0"


@read
def column_of_unknown_encoding(folder):
    source = cells()
    source.obs["when"] = np.arange(source.n_obs)
    source.write_h5ad(folder / "mine.h5ad")
    of_unknown_encoding(folder / "mine.h5ad", "obs/when")
    return Given(folder / "mine.h5ad", note="obs['when']")


@read
def column_of_genes_of_unknown_encoding(folder):
    path = h5ad(folder)
    of_unknown_encoding(path, "var/gene_ids")
    return Given(path, note="var['gene_ids']")


@read
def uns_of_unknown_encoding(folder):
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        write_elem(file, "uns/model", np.arange(3))
    of_unknown_encoding(path, "uns/model")
    return Given(path)


@refused("obs['cell_type'] has an encoding")
def labels_of_unknown_encoding(folder):
    path = h5ad(folder)
    of_unknown_encoding(path, "obs/cell_type")
    return Given(path)


@refused("cut short")
def truncated_h5ad(folder):
    path = h5ad(folder)
    path.write_bytes(path.read_bytes()[:-3000])
    return Given(path)


@refused("cut short")
def truncated_gzip(folder):
    whole = gzip.compress(h5ad(folder).read_bytes())
    (folder / "mine.h5ad.gz").write_bytes(whole[: len(whole) // 2])
    return Given(folder / "mine.h5ad.gz")


@refused("is an empty file")
def empty_file(folder):
    (folder / "mine.csv").touch()
    return Given(folder / "mine.csv")


@refused("is an empty file")
def empty_gzip(folder):
    (folder / "mine.csv.gz").write_bytes(gzip.compress(b""))
    return Given(folder / "mine.csv.gz")


@refused("is a web page")
def web_page_saved_as_h5ad(folder):
    (folder / "mine.h5ad").write_text("<!DOCTYPE html>\n<html>Sign in</html>")
    return Given(folder / "mine.h5ad")


@refused("git lfs pull")
def pointer_of_git_lfs(folder):
    (folder / "mine.h5ad").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    return Given(folder / "mine.h5ad")


@refused("is a link to nowhere.h5ad")
def broken_link(folder):
    (folder / "mine.h5ad").symlink_to("nowhere.h5ad")
    return Given(folder / "mine.h5ad")


@refused("download the file")
def address(folder):
    return Given(Path("https://example.org/mine.h5ad"))


@refused("give the path of one file in it, such as a.h5ad, b.h5ad")
def folder_of_files(folder):
    h5ad(folder, "a.h5ad")
    h5ad(folder, "b.h5ad")
    return Given(folder)


@refused("adata.T")
def turned_h5ad(folder):
    cells(labelled=False).T.copy().write_h5ad(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")


@refused("--transpose turns tables only")
def transpose_of_an_h5ad(folder):
    return Given(h5ad(folder), transpose=True)


# ---- zarr ----------------------------------------------------------------------------------------


def zarr(folder: Path, version: int = 2) -> Path:
    """The cells as a zarr folder of a version of the format."""
    before = ad.settings.zarr_write_format
    ad.settings.zarr_write_format = version
    try:
        cells().write_zarr(folder / "mine.zarr")
    finally:
        ad.settings.zarr_write_format = before
    return folder / "mine.zarr"


@read
def zarr_2(folder):
    return Given(zarr(folder))


@read
def zarr_3(folder):
    return Given(zarr(folder, 3))


@read
def zarr_without_consolidated_metadata(folder):
    (zarr(folder) / ".zmetadata").unlink()
    return Given(folder / "mine.zarr")


@read
def zarr_under_another_name(folder):
    return Given(zarr(folder).rename(folder / "mine"))


@read
def zipped_zarr(folder):
    shutil.make_archive(str(folder / "mine.zarr"), "zip", zarr(folder))
    return Given(folder / "mine.zarr.zip")


@read
def zipped_zarr_with_its_folder(folder):
    zarr(folder, 3)
    shutil.make_archive(str(folder / "mine"), "zip", folder, "mine.zarr")
    return Given(folder / "mine.zip")


@read
def tarred_zarr(folder):
    zarr(folder)
    shutil.make_archive(str(folder / "mine"), "gztar", folder, "mine.zarr")
    return Given(folder / "mine.tar.gz")


@read
def zarr_with_raw_null(folder):
    import zarr as library

    group = library.open_group(zarr(folder), mode="r+", use_consolidated=False)
    write_elem(group, "raw", None)
    library.consolidate_metadata(group.store)
    return Given(folder / "mine.zarr")


@read
def zarr_with_a_type_of_a_later_version(folder):
    path = zarr(folder, 3) / "zarr.json"
    about = json.loads(path.read_text())
    metadata = about["consolidated_metadata"]["metadata"]
    array = next(part for part in metadata.values() if part["node_type"] == "array")
    metadata["uns/ranks"] = array | {"data_type": {"name": "struct-of-2030"}}
    path.write_text(json.dumps(about))
    return Given(folder / "mine.zarr")


@refused("give the path of its table")
def spatialdata(folder):
    import zarr as library

    group = library.open_group(folder / "mine.zarr", mode="w")
    write_elem(group.create_group("tables"), "table", cells())
    return Given(folder / "mine.zarr")


@refused('mudata.read("mine.zarr")["rna"]')
def mudata_in_a_zipped_zarr(folder):
    import zarr as library

    library.open_group(folder / "mine.zarr", mode="w").create_group("mod/rna")
    shutil.make_archive(str(folder / "mine.zarr"), "zip", folder / "mine.zarr")
    return Given(folder / "mine.zarr.zip")


@refused('mudata.read("mine.zarr")["rna"]')
def mudata_in_zarr(folder):
    import zarr as library

    library.open_group(folder / "mine.zarr", mode="w").create_group("mod/rna")
    return Given(folder / "mine.zarr")


# ---- 10x, loom and others in HDF5 ----------------------------------------------------------------


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


def in_filter(folder: Path, number: int) -> Path:
    """An .h5ad whose X says that it is compressed by a filter that nobody has."""
    path = h5ad(folder)
    values = cells().X.data
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((len(values),))
        settings.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((len(values),))
        made = h5py.h5d.create(file["X"].id, b"data", h5py.h5t.IEEE_F32LE, space, settings)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return path


@refused("needs the package hdf5plugin")
def compressed_by_a_filter_that_is_missing(folder):
    return Given(in_filter(folder, 32999))


def old_h5ad(folder: Path, name: str = "mine.h5ad") -> Path:
    """An .h5ad of anndata before 0.7, whose obs and var are tables of records."""
    codes = np.array([sorted(set(TYPES)).index(kind) for kind in TYPES], dtype=np.int8)
    obs = np.array(list(zip(CELLS, codes, strict=True)), dtype=[("index", "S20"), ("kind", "i1")])
    obs.dtype.names = ("index", "cell_type")
    with h5py.File(folder / name, "w") as file:
        file["X"] = COUNTS.astype(np.float32)
        file["obs"] = obs
        file["var"] = np.array([(gene,) for gene in GENES], dtype=[("index", "S20")])
        file["uns/cell_type_categories"] = np.array(sorted(set(TYPES)), dtype="S")
    return folder / name


@read
def h5ad_of_anndata_0_6(folder):
    return Given(old_h5ad(folder))


@refused("change its permissions")
def unreadable_file(folder):
    path = h5ad(folder)
    if os.geteuid() == 0:
        import pytest

        pytest.skip("root reads everything")
    path.chmod(0)
    return Given(path)


@refused("of no kind that can be read")
def pickle(folder):
    pd.to_pickle(cells().obs, folder / "mine.pkl")
    return Given(folder / "mine.pkl")
