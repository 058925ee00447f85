"""Matrices of any kind and size, read in blocks of rows and written as CSR that can be mapped."""

from __future__ import annotations

import itertools
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
from scipy import sparse

BLOCK = 2**22
"""About how many values are in memory at once; what is written does not depend on it."""
WIDEST_INT32 = 2**31 - 1


class Damaged(Exception):
    """A sparse matrix whose parts do not fit together."""


@contextmanager
def undamaged(name: str) -> Iterator[None]:
    """Turn what a library raises for a damaged matrix into one sentence, a ValueError.

    A full disk is no matter of the data set's and passes as it is.
    """
    try:
        yield
    except (Damaged, OSError, RuntimeError, zlib.error) as error:  # the last two of chunks
        if getattr(error, "errno", None):
            raise
        raise ValueError(
            f"{name}: its matrix cannot be read, so the file is damaged or was cut"
            f" short ({' '.join(str(error).split())}); write it again"
        ) from error


def kept_blocks(matrix: Any, kept: np.ndarray, scratch: Path) -> Iterator[sparse.csr_matrix]:
    """The kept rows (a mask), some at a time, in order."""
    start = 0
    for block in row_blocks(matrix, scratch):
        mask = kept[start : start + block.shape[0]]
        start += block.shape[0]
        yield block if mask.all() else block[mask]


def row_blocks(matrix: Any, scratch: Path) -> Iterator[sparse.csr_matrix]:
    """Consecutive rows as CSR with sorted indices and no stored zeros, never the caller's own.

    `matrix` is dense, CSR or CSC, in memory or in an HDF5 or Zarr file; a CSC file is turned
    round by way of files in `scratch`, since its rows lie all over it.
    """
    form = getattr(matrix, "format", "dense")
    if sparse.issparse(matrix):
        matrix, form = cast(Any, matrix).tocsr(), "csr"
    blocks = (
        turned(matrix, scratch)
        if form == "csc"
        else (matrix[part] for part in parts(matrix.shape[0], matrix.shape[1]))
    )
    for block in blocks:
        if block.dtype == np.float16:  # which scipy does not know
            block = np.asarray(block, dtype=np.float32)
        elif not block.dtype.isnative:
            block = np.asarray(block, dtype=block.dtype.newbyteorder("="))
        rows = sparse.csr_matrix(block, copy=True)
        check_parts(rows)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        yield rows


def check_parts(block: sparse.csr_matrix) -> None:
    """Refuse indices that lie outside; scipy's own code would write outside of memory for them.

    Raises Damaged.
    """
    try:
        block.check_format(full_check=True)
    except ValueError as error:
        raise Damaged(str(error)) from None


def parts(length: int, width: int) -> Iterator[slice]:
    """Slices of as many rows of this width as make a block; together all rows.

    >>> [part.stop for part in parts(5, BLOCK // 2)]
    [2, 4, 5]
    """
    step = max(1, BLOCK // max(1, width))
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


TRIPLE = [("row", np.int32), ("column", np.int32), ("value", np.float64)]


def turned(matrix: Any, scratch: Path) -> Iterator[sparse.csr_matrix]:
    """The rows of a CSC matrix that lies in a file, in bounded memory and one reading of it.

    Each block of columns is dealt out to one file per block of rows; these are then read one by
    one. `matrix` is anndata's view of the file: `matrix[:, a:b]` reads some columns.
    """
    n_rows, n_columns = matrix.shape
    # twice the average, for a block is in memory twice while it is turned
    density = max(1, 2 * matrix.group["indices"].shape[0] // max(1, n_columns))
    height = max(1, round(BLOCK / max(1, density * n_columns / max(1, n_rows))))
    bounds = [*range(0, n_rows, height), n_rows]
    for columns in parts(n_columns, density):
        block = sparse.coo_matrix(matrix[:, columns].tocsr())  # row by row from here
        triples = np.empty(block.nnz, dtype=TRIPLE)
        triples["row"], triples["value"] = block.row, block.data
        triples["column"] = block.col + columns.start
        for i, some in enumerate(np.split(triples, np.searchsorted(block.row, bounds[1:-1]))):
            with (scratch / f"rows-{i}").open("ab") as file:
                some.tofile(file)
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        path = scratch / f"rows-{i}"
        triples = np.fromfile(path, dtype=TRIPLE)
        path.unlink()
        places = (triples["row"] - start, triples["column"])
        yield sparse.csr_matrix((triples["value"], places), shape=(stop - start, n_columns))


class Growing:
    """A one-dimensional `.npy` written piece by piece; its length goes in at the end."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self.file = path.open("wb")
        self.dtype = np.dtype(dtype)
        self.length = 0
        self.header()

    def header(self) -> None:
        """Write the header; numpy leaves room in it for any length."""
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length,)}
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(self.file, about)

    def append(self, values: np.ndarray) -> None:
        with np.errstate(over="ignore"):  # what is too large is refused after the survey
            self.file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.length += len(values)

    def __enter__(self) -> Growing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.header()
        self.file.close()


def write_csr(blocks: Iterable[sparse.csr_matrix], folder: Path, values: str) -> None:
    """Write rows as `VALUES.npy`, `indices.npy` and `indptr.npy`, as they come.

    Indices are int64 only where int32 is too narrow. Memory does not grow with the number of rows.
    """
    lengths = []
    with (
        Growing(folder / f"{values}.npy", np.float32) as data,
        Growing(folder / "indices.npy", np.int32) as indices,
    ):
        for block in blocks:
            data.append(block.data)
            indices.append(block.indices)
            lengths.append(np.diff(block.indptr))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
    if indptr[-1] > WIDEST_INT32:
        changed(folder, "indices", "indices", parts(int(indptr[-1]), 1), np.int64)
    else:
        indptr = indptr.astype(np.int32)
    np.save(folder / "indptr.npy", indptr)


def changed(
    folder: Path,
    old: str,
    new: str,
    where: Iterable[slice],
    dtype: Any,
    change: Any = lambda values, part: values,
) -> None:
    """Write `new.npy` from consecutive slices of `old.npy`, each as `change(values, slice)` has it.

    Files are read and not mapped, so that pages do not add up in memory.
    """
    draft = folder / f"{new}.draft"
    with (folder / f"{old}.npy").open("rb") as source, Growing(draft, dtype) as target:
        np.lib.format.read_magic(source)
        _, _, kind = np.lib.format.read_array_header_1_0(source)
        for part in where:
            values = np.fromfile(source, kind, part.stop - part.start)
            target.append(change(values, part))
    draft.rename(folder / f"{new}.npy")


def map_csr(folder: Path, values: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    """A CSR matrix over read-only memory maps; nothing is read and nothing copied."""
    data, indices, indptr = (
        np.asarray(np.load(folder / f"{part}.npy", mmap_mode="r"))
        for part in (values, "indices", "indptr")
    )
    matrix = sparse.csr_matrix(shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    matrix.has_sorted_indices = True  # else scipy reads every index to find out
    matrix.has_canonical_format = True
    return matrix


def mapped_blocks(matrix: sparse.csr_matrix) -> Iterator[sparse.csr_matrix]:
    """Consecutive rows of a matrix of `map_csr`, copied; its pages do not stay in memory."""
    width = int(matrix.nnz // max(1, matrix.shape[0])) + 1
    for part in parts(matrix.shape[0], width):
        yield matrix[part]
        forget(matrix)


def forget(matrix: sparse.csr_matrix) -> None:
    """Give back the memory of those pages of a mapped matrix that were read."""
    for array in (matrix.data, matrix.indices):
        base: Any = array
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        if base is not None and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)


def new_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """A `.npy` file of zeros, mapped to be written.

    Raises OSError where there is no room for all of it: running out later would end the process.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
