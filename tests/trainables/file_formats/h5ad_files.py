"""AnnData in HDF5, whole, compressed, damaged, and of any age."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
from anndata.io import write_elem

from tests.trainables.file_formats.table import (
    CELLS,
    COUNTS,
    GENES,
    TYPES,
    Given,
    cells,
    h5ad,
    read,
    refused,
)


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


@read
def bytes_in_another_order(folder):
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        file.create_dataset("X/data", data=values, dtype=">f4")
    return Given(path)


@refused("links to a file that is not there")
def h5ad_that_links_to_a_lost_file(folder):
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink("lost.h5ad", "X")
    return Given(path)


@refused("holds text that is not UTF-8")
def labels_in_latin_1(folder):
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        del file["obs/cell_type"]
        file["obs/cell_type"] = np.array(["na\u00efve".encode("latin-1")] * len(cells()))
    return Given(path)


@refused("is a pipe or a device and no file")
def pipe(folder):
    os.mkfifo(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")


@refused("is a web page")
def web_page_with_a_comment_first(folder):
    (folder / "mine.h5ad").write_text("<!-- saved -->\n<html>Sign in</html>")
    return Given(folder / "mine.h5ad")
