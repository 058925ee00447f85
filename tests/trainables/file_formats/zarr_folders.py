"""AnnData in zarr, and what else is zarr."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata as ad
from anndata.io import write_elem

from tests.trainables.file_formats.table import (
    Given,
    cells,
    read,
    refused,
)


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


def chunk_of_values(folder: Path) -> Path:
    """The file of a chunk of X's values."""
    return next(file for file in (zarr(folder) / "X" / "data").iterdir() if file.name[0].isdigit())


@refused("is not a readable zarr folder")
def zarr_without_one_chunk(folder):
    """A chunk that was not copied; zarr itself reads zeros for it."""
    chunk_of_values(folder).unlink()
    return Given(folder / "mine.zarr")


@refused("its matrix cannot be read")
def zarr_with_half_a_chunk(folder):
    chunk = chunk_of_values(folder)
    chunk.write_bytes(chunk.read_bytes()[:20])
    return Given(folder / "mine.zarr")
