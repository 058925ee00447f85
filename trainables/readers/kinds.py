"""Kind of a file, from its content first and its ending second."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from trainables.readers.foreign import CONTENTS, ENDINGS, way_out

KINDS = "an .h5ad, .zarr, 10x .h5, .loom, .csv, .tsv or .parquet file or a 10x folder"
HDF5_ENDINGS = (".h5ad", ".h5", ".hdf5", ".loom", ".h5mu")
TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".tab")
UNTOLD_ENDINGS = ("", ".dat", ".data", ".counts", ".count", ".dge", ".expr", ".matrix")
"""Endings of tables and of other files; the first line tells which it is."""
ARROW_ENDINGS = (".parquet", ".feather")
ARCHIVE_ENDINGS = (".tar", ".tgz", ".zip")
READ_ENDINGS = (*HDF5_ENDINGS, ".zarr", ".mtx", *TABLE_ENDINGS, *ARROW_ENDINGS, *ARCHIVE_ENDINGS)
COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz", ".zst")
ZARR_MARKS = (".zgroup", "zarr.json", ".zmetadata")


def kind_of(path: Path) -> str:
    """Return "hdf5", "zarr", "sparse", "table", "arrow", or "packed" for what is to be unpacked.

    Raises LookupError where nothing is at the path, and ValueError for what cannot be read.
    """
    refuse_missing(path)
    if path.is_dir():
        return kind_of_folder(path)
    if not path.is_file():
        raise ValueError(f"{path} is a pipe or a device and no file; write its content to a file")
    return kind_of_file(path)


def refuse_missing(path: Path) -> None:
    """Raise LookupError, with the likely reason, where nothing is at the path."""
    if path.exists():
        return
    plain = str(path)
    if plain.split(":", 1)[0].lower() in ("http", "https", "ftp", "s3", "gs"):
        raise LookupError(f"{plain} is an address; download the file and give its path here")
    if path.is_symlink():
        target = path.readlink()
        raise LookupError(f"{path} is a link to {target}, and there is no such file; mend the link")
    if plain.startswith("~"):
        raise LookupError(f"there is no file {path}; write {path.expanduser()} in its place")
    raise LookupError(f"there is no file {path}; give the path of {KINDS}")


def kind_of_folder(folder: Path) -> str:
    """Return the kind of a folder.

    Raises ValueError, which names readable files inside, for a folder that is none.
    """
    if (folder / "__tiledb_group.tdb").exists() or (folder / "__group").is_dir():
        raise ValueError(f"{folder.name} is a TileDB-SOMA folder; {way_out('.soma')}")
    if any((folder / mark).exists() for mark in ZARR_MARKS):
        return "zarr"
    if folder.suffix == ".zarr":
        raise ValueError(f"{folder.name} holds no zarr group; write it with adata.write_zarr()")
    from trainables.readers.sparse_folders import matrices_below

    if matrices_below(folder):
        return "sparse"
    inside = [file.name for file in sorted(folder.iterdir()) if ending_of(file) in READ_ENDINGS]
    if inside:
        more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
        raise ValueError(
            f"{folder.name} is a folder; give the path of one file in it, such as"
            f" {', '.join(inside[:3])}{more}"
        )
    raise ValueError(
        f"{folder.name} is a folder with neither a matrix.mtx nor a zarr group in it; give the"
        f" path of {KINDS}"
    )


def kind_of_file(path: Path) -> str:
    """Return the kind of a file.

    Raises ValueError for an empty one, and for formats that cannot be read, with the way out.
    """
    ending = ending_of(path)
    if ending in ENDINGS:
        raise ValueError(
            f"{path.name} is {ENDINGS[ending]}, of no kind that can be read here; {way_out(ending)}"
        )
    start, compressed = beginning(path)
    if not start:
        raise ValueError(f"{path.name} is an empty file; write or download it again")
    for mark, (what, way) in CONTENTS.items():
        if start[:200].lstrip().lower().startswith(mark):
            raise ValueError(f"{path.name} is {what}; {way}")
    if is_hdf5(path, start, compressed):
        return "packed" if compressed else "hdf5"
    if start.startswith(b"PK\x03\x04"):
        return kind_of_zip(path)
    if start[257:262] == b"ustar":
        return "packed"
    if start.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        return "packed" if compressed else "arrow"
    if start.startswith(b"%%MatrixMarket"):
        return "sparse"
    if ending in (*UNTOLD_ENDINGS, *HDF5_ENDINGS) and is_table(start):
        return "table"
    if b"<html" in start.lower():
        what, way = CONTENTS[b"<html"]
        raise ValueError(f"{path.name} is {what}; {way}")
    if ending in HDF5_ENDINGS:
        raise ValueError(
            f"{path.name} is not a readable {ending} file: it does not begin as HDF5 does, so the"
            " file is damaged or of another kind; copy or download it again"
        )
    if ending in TABLE_ENDINGS and (b"\0" not in start or start[:2] in (b"\xff\xfe", b"\xfe\xff")):
        return "table"
    raise ValueError(
        f"{path.name} is of no kind that can be read here; give {KINDS}, as"
        " adata.write_h5ad() writes it"
    )


def is_table(start: bytes) -> bool:
    """Whether the first line of a text has at least three columns.

    >>> is_table(b"gene\\tCELL1\\tCELL2\\n"), is_table(b"A note, written today")
    (True, False)
    """
    first = start.split(b"\n", 1)[0]
    if b"\0" in first or first.lstrip().startswith((b"<", b"{", b"[")):  # a page, or JSON
        return False
    return max(first.count(mark) for mark in (b"\t", b",", b";")) >= 2


def is_hdf5(path: Path, start: bytes, compressed: bool) -> bool:
    """Whether a file is HDF5, which may follow a block of 512 bytes or more (as MATLAB writes)."""
    if compressed:
        return start.startswith(b"\x89HDF\r\n\x1a\n")
    import h5py

    try:
        return bool(h5py.is_hdf5(path))
    except OSError:  # a path that HDF5 cannot open
        return start.startswith(b"\x89HDF\r\n\x1a\n")


def kind_of_zip(path: Path) -> str:
    """Return "packed" for an archive. Raises ValueError for Excel's and numpy's files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise ValueError(
            f"{path.name} is a .zip archive that is damaged or was cut short; copy or download it"
            " again"
        ) from None
    if any(name.startswith("xl/") for name in names):
        raise ValueError(f"{path.name} is {ENDINGS['.xlsx']}; {way_out('.xlsx')}")
    if names and all(name.endswith(".npy") for name in names):
        raise ValueError(f"{path.name} is {ENDINGS['.npz']}; {way_out('.npz')}")
    return "packed"


def beginning(path: Path, length: int = 1024) -> tuple[bytes, bool]:
    """Return the first bytes of a file, decompressed, and whether it was compressed.

    Raises ValueError for a file that may not be read, or whose compression is damaged.
    """
    with content_of(path) as stream:
        return stream.read(length), compression_of(first_bytes(path)) is not None


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file, as they are."""
    with path.open("rb") as file:
        return file.read(8)


MAGIC: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": (".gz", gzip.open),
    b"BZh": (".bz2", bz2.open),
    b"\xfd7zXZ\x00": (".xz", lzma.open),
    b"\x28\xb5\x2f\xfd": (".zst", lambda path: arrow_stream(path, "zstd")),
}
"""First bytes of compressed files, whatever their ending, and the function that opens each."""


def compression_of(start: bytes) -> bytes | None:
    """Return the mark of the compression that these first bytes show, or None."""
    return next((mark for mark in MAGIC if start.startswith(mark)), None)


def decompressed(path: Path) -> IO[bytes]:
    """Return a stream of the content of a file, compressed or not."""
    mark = compression_of(first_bytes(path))
    return path.open("rb") if mark is None else MAGIC[mark][1](path)


@contextmanager
def content_of(path: Path) -> Iterator[IO[bytes]]:
    """Yield the decompressed content of a file. Raises ValueError where compression is broken."""
    try:
        with decompressed(path) as stream:
            yield stream
    except PermissionError:
        raise ValueError(f"{path} may not be read by you; change its permissions") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(
            f"{path.name} is damaged or was cut short; copy or download it again"
        ) from error


def arrow_stream(path: Path, compression: str) -> Any:
    """Return a stream of a file in a compression that Python 3.11 lacks and Arrow has."""
    import pyarrow

    return pyarrow.input_stream(str(path), compression=compression)


def ending_of(path: Path) -> str:
    """Return the ending that names the format, in lower case, without that of a compression.

    >>> ending_of(Path("Counts.TSV.gz"))
    '.tsv'
    """
    name = path.name.lower()
    for ending in COMPRESSED_ENDINGS:
        name = name.removesuffix(ending)
    return Path(name).suffix


def title(path: Path) -> str:
    """Return a file's name without the endings that name its format.

    >>> title(Path("mine.zarr.zip")), title(Path("GSM1.counts.txt.gz")), title(Path("v1.2"))
    ('mine', 'GSM1.counts', 'v1.2')
    """
    name = path.name
    while (ending := Path(name).suffix.lower()) in (*READ_ENDINGS, *COMPRESSED_ENDINGS):
        shorter = name[: -len(ending)]
        if not shorter:
            break
        name = shorter
    return name
