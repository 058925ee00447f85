"""Files that are not there, damaged, or of no kind that can be read."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import pytest

from tests.trainables.broken_inputs.table import broken, edited, saved, some_cells, text


@broken("there is no file")
def missing_file(folder):
    return ["--data", str(folder / "nowhere.h5ad")]


@broken("is a folder")
def plain_folder(folder):
    (folder / "data").mkdir()
    return ["--data", str(folder / "data")]


@broken("is an empty file")
def empty_file(folder):
    return text(folder, "mine.h5ad", "")


@broken("not a readable .h5ad file")
def text_named_h5ad(folder):
    return text(folder, "mine.h5ad", "cell,gene\n1,2\n")


@broken("cut short")
def truncated_h5ad(folder):
    options = saved(folder, some_cells())
    whole = (folder / "mine.h5ad").read_bytes()
    (folder / "mine.h5ad").write_bytes(whole[: len(whole) // 2])
    return options


@broken("of no kind that can be read")
def unknown_ending(folder):
    return text(folder, "mine.rds", "RDX3")


@broken("of no kind that can be read")
def no_ending(folder):
    return text(folder, "mine", "cells")


@broken("was not written by anndata")
def other_hdf5(folder):
    with h5py.File(folder / "mine.h5ad", "w") as file:
        file["numbers"] = [1, 2]
    return ["--data", str(folder / "mine.h5ad")]


@broken("no var")
def h5ad_without_var(folder):
    return edited(folder, lambda file: file.__delitem__("var"))


@broken("has no X")
def h5ad_without_x(folder):
    return edited(folder, lambda file: file.__delitem__("X"))


@broken("not a readable .h5ad file")
def sparse_x_without_indices(folder):
    return edited(folder, lambda file: file["X"].__delitem__("indices"))


@broken("not a readable .h5ad file")
def sparse_x_cut_short(folder):
    def cut(file):
        kept = file["X/data"][:-5]
        del file["X/data"]
        file["X/data"] = kept

    return edited(folder, cut)


@broken("damaged")
def indices_beyond_the_genes(folder):
    def spoil(file):
        file["X/indices"][7] = 6000

    return edited(folder, spoil)


@broken("obs names 29 cells")
def obs_shorter_than_x(folder):
    saved(folder, some_cells()[:29].copy(), "short.h5ad")

    def swap(file):
        del file["obs"]
        with h5py.File(folder / "short.h5ad") as short:
            short.copy("obs", file)

    return edited(folder, swap)


@broken("damaged")
def compressed_chunk_damaged(folder):
    path = folder / "mine.h5ad"
    some_cells().write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        place = file["X"].id.get_chunk_info(0)
    spoilt = bytearray(path.read_bytes())
    spoilt[place.byte_offset : place.byte_offset + place.size] = b"\xff" * place.size
    path.write_bytes(spoilt)
    return ["--data", str(path)]


@broken("holds no zarr group")
def zarr_that_is_empty(folder):
    (folder / "mine.zarr").mkdir()
    return ["--data", str(folder / "mine.zarr")]


@broken("it has no obs")
def zarr_without_obs(folder):
    import shutil

    some_cells().write_zarr(folder / "mine.zarr", convert_strings_to_categoricals=False)
    shutil.rmtree(folder / "mine.zarr" / "obs")
    (folder / "mine.zarr" / ".zmetadata").unlink(missing_ok=True)
    return ["--data", str(folder / "mine.zarr")]


@broken("not a readable 10x .h5 file")
def tenx_without_matrix(folder):
    with h5py.File(folder / "mine.h5", "w") as file:
        file["numbers"] = [1, 2]
    return ["--data", str(folder / "mine.h5")]


@broken("not a readable .loom file")
def text_named_loom(folder):
    return text(folder, "mine.loom", "loom")


def mtx(folder: Path, leave_out: str = "", genes: int = 3) -> list[str]:
    """A 10x folder of three genes and two cells."""
    files = {
        "matrix.mtx": "%%MatrixMarket matrix coordinate integer general\n3 2 2\n1 1 5\n3 2 1\n",
        "barcodes.tsv": "AAA\nCCC\n",
        "features.tsv": "".join(f"ENSG0000000000{i}\tG{i}\n" for i in range(genes)),
    }
    for name, content in files.items():
        if name != leave_out:
            (folder / name).write_text(content)
    return ["--data", str(folder)]


@broken("has no barcodes.tsv")
def mtx_without_barcodes(folder):
    return mtx(folder, leave_out="barcodes.tsv")


@broken("has no features.tsv or genes.tsv")
def mtx_without_features(folder):
    return mtx(folder, leave_out="features.tsv")


@broken("2 names of genes")
def mtx_with_too_few_features(folder):
    return mtx(folder, genes=2)


@broken("--labels")
def mtx_without_labels(folder):
    return mtx(folder)


@broken("not a readable 10x folder")
def mtx_that_is_text(folder):
    options = mtx(folder)
    (folder / "matrix.mtx").write_text("nothing of the kind\n")
    return options


@broken("holds text ('many' in row 'c2')")
def csv_with_text(folder):
    return text(folder, "mine.csv", "cell,cell_type,G1,G2\nc1,a,1,2\nc2,b,many,3\n")


@broken("separate columns by commas")
def csv_of_one_column(folder):
    return text(folder, "mine.csv", "cell\nc1\n")


@broken("not a readable table")
def csv_that_is_ragged(folder):
    return text(folder, "mine.csv", "cell,G1\nc1,1\nc2,1,2,3,4\n")


@broken("G1")
def csv_with_a_gene_twice(folder):
    return text(folder, "mine.csv", "cell,cell_type,G1,G1\nc1,a,1,2\nc2,b,1,3\n")


@broken("may not be read")
def unreadable_file(folder):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    options = saved(folder, some_cells())
    (folder / "mine.h5ad").chmod(0)
    return options
