"""Folders of a Matrix Market file and names of its rows and columns, as many tools write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from trainables.readers.anndata_files import readable
from trainables.readers.kinds import COMPRESSED_ENDINGS, decompressed

TOOLS = (
    ("cells_x_genes.mtx", "cells_x_genes.barcodes.txt", "cells_x_genes.genes.txt"),
    ("quants_mat.mtx", "quants_mat_rows.txt", "quants_mat_cols.txt"),
    ("DGE.mtx", "cell_metadata.csv", "all_genes.csv"),
    ("count_matrix.mtx", "cell_metadata.csv", "all_genes.csv"),
)
"""Matrix, cells and genes of kallisto|bustools, alevin-fry and Parse's split-pipe."""
SYMBOLS = "cells_x_genes.genes.names.txt"
MATRIX = re.compile(r"\.mtx(\.txt)?$")
CELLS = re.compile(r"(barcodes?|cell_?ids?|cells?|colnames|columns)")
GENES = re.compile(r"(features?|genes?|rownames|rows)")
NAMES_ENDINGS = (".tsv", ".txt", ".csv")
UNFILTERED = ("raw", "unfiltered")
APART = ("velocyto", "sj", "analysis", "__macosx", "crispr_analysis", "antibody_analysis")
"""Folders of a tool's output that hold no counts of genes."""
DEEPEST = 6


@dataclass(frozen=True)
class Triple:
    """Matrix, names of cells and names of genes that belong together."""

    matrix: Path
    cells: Path
    genes: Path
    symbols: Path | None = None
    """Symbols of the same genes, where `genes` holds ids alone."""


def sparse(path: Path) -> Any:
    """Return the cells of a folder, or of a matrix and the files of names beside it.

    Ids of genes are in `var["gene_ids"]`, kinds of features in `var["feature_types"]`. Raises
    LookupError where a file is missing, and ValueError for files that do not fit together.
    """
    matrix = matrix_of(path)
    cells = read_triple(triple_of(matrix))
    if path.is_dir() and matrix.parent != path:
        cells.uns["notes"] = [f"cells are those of {matrix.parent.relative_to(path.parent)}"]
    return cells


# ---- files that belong together ----------------------------------------------------------------


def matrices_below(folder: Path) -> list[Path]:
    """Return the matrices of a folder; where it has none, those of the folders of filtered cells
    below it, as in Cell Ranger's `outs` and STARsolo's `Solo.out`."""
    if here := matrices_in(folder):
        return here
    found = [
        matrix
        for place in sorted(folder.rglob("*"))
        if place.is_dir() and len(place.relative_to(folder).parts) <= DEEPEST
        if not {part.lower() for part in place.relative_to(folder).parts} & set(APART)
        for matrix in matrices_in(place)
    ]
    filtered = [m for m in found if not is_unfiltered(m.relative_to(folder))]
    return filtered or found


def is_unfiltered(path: Path) -> bool:
    """Whether a folder of a path holds every barcode, those of empty droplets included."""
    return any(re.search(rf"(^|_)({'|'.join(UNFILTERED)})(_|$)", part) for part in path.parts[:-1])


def matrices_in(folder: Path) -> list[Path]:
    """Return the Matrix Market files of a folder; a tool's main one alone where it is there."""
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    found = [file for file in files if MATRIX.search(plain(file.name)) and file.is_file()]
    main = {"matrix.mtx", *(tool[0].lower() for tool in TOOLS)}
    chosen = [file for file in found if plain(file.name) in main]
    return chosen[:1] or found


def matrix_of(folder: Path) -> Path:
    """Return the one matrix of a folder; a path that is no folder is the matrix.

    Raises ValueError, which lists them, for a folder with several.
    """
    if not folder.is_dir():
        return folder
    found = matrices_below(folder)
    if len(found) > 1:
        names = [str(path.relative_to(folder)) for path in found]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ValueError(
            f"{folder.name} holds {len(names)} matrices ({', '.join(names[:3])}{more}); give the"
            " path of one"
        )
    return found[0]


def triple_of(matrix: Path) -> Triple:
    """Return a matrix with the files that name its cells and genes.

    Raises LookupError where one is missing or there is no telling which.
    """
    every = [file for file in sorted(matrix.parent.iterdir()) if file.name[0] != "."]
    files = {plain(file.name): file for file in every if file.is_file()}
    for main, cells, genes in TOOLS:
        if plain(matrix.name) == main.lower() and cells in files and genes in files:
            return Triple(matrix, files[cells], files[genes], files.get(SYMBOLS))
    several = len([name for name in files if MATRIX.search(name)]) > 1
    cells = names_of(matrix, files, CELLS, GENES, alone=not several)
    genes = names_of(matrix, files, GENES, CELLS, alone=True)
    lacking = [] if cells else ["barcodes.tsv"]
    lacking += [] if genes else ["features.tsv or genes.tsv"]
    if cells is None or genes is None:
        raise LookupError(
            f"{matrix.parent.name} has no {' and no '.join(lacking)} (.gz or not) that belongs to"
            f" {matrix.name}; a 10x folder has matrix.mtx, barcodes.tsv and features.tsv (or"
            " genes.tsv)"
        )
    return Triple(matrix, cells, genes)


def names_of(
    matrix: Path, files: dict[str, Path], role: re.Pattern, other: re.Pattern, alone: bool
) -> Path | None:
    """Return the file of names in this role that has the matrix's prefix; else, if `alone`, the
    only one of its role."""
    named = {
        name: file
        for name, file in files.items()
        if name.endswith(NAMES_ENDINGS) and role.search(name) and not MATRIX.search(name)
    }
    if len(named) > 1:  # "sample_cells_genes.tsv": the last word is the role
        named = {n: f for n, f in named.items() if last(role, n) > last(other, n)} or named
    own = [file for name, file in named.items() if key(name, role) == key(plain(matrix.name))]
    if len(own) == 1:
        return own[0]
    return next(iter(named.values())) if alone and len(named) == 1 else None


def last(pattern: re.Pattern, name: str) -> int:
    """Return where a pattern is found last in a name; -1 where it is not."""
    return max((found.start() for found in pattern.finditer(name)), default=-1)


def key(name: str, role: re.Pattern = re.compile(r"(matrix|counts?|umis?)")) -> str:
    """Return the part of a name that files of one sample share.

    >>> key("gsm1_s1_matrix.mtx"), key("gsm1_s1_genes.tsv", GENES)
    ('gsm1_s1', 'gsm1_s1')
    """
    stem = re.sub(r"\.(mtx|tsv|txt|csv)", "", name)
    found = list(role.finditer(stem))
    if found:
        stem = stem[: found[-1].start()] + stem[found[-1].end() :]
    return re.sub(r"[._\- ]+", "_", stem).strip("_")


def plain(name: str) -> str:
    """Return a file's name in lower case, without the ending of a compression."""
    name = name.lower()
    for ending in COMPRESSED_ENDINGS:
        name = name.removesuffix(ending)
    return name


# ---- content -----------------------------------------------------------------------------------


def read_triple(triple: Triple) -> Any:
    """Return cells x genes with their names; the matrix may lie either way.

    Raises ValueError where the numbers of names fit neither way.
    """
    from scipy.io import mmread

    folder = triple.matrix.parent
    broken = f"{triple.matrix.name} is damaged or was cut short"
    with readable(folder, "10x folder", broken), decompressed(triple.matrix) as stream:
        values: Any = csr_matrix(mmread(stream))
    with readable(folder, "10x folder", "a file of names is damaged"):
        cells, genes = names_table(triple.cells), names_table(triple.genes)
        symbols = None if triple.symbols is None else names_table(triple.symbols)
    by_cells = plain(triple.matrix.name) in {tool[0].lower() for tool in TOOLS}
    for turned in (by_cells, not by_cells):
        wide = values if turned else values.T
        obs, var = without_header(cells, wide.shape[0]), without_header(genes, wide.shape[1])
        if obs is not None and var is not None:
            refuse_splicing(var, triple)
            frame = gene_frame(var)
            if symbols is not None and len(symbols) == len(var):
                frame["gene_name"] = symbols.iloc[:, 0].to_numpy()
            return ad.AnnData(csr_matrix(wide), obs=cell_frame(obs), var=frame)
    rows, columns = values.shape[::-1] if by_cells else values.shape
    raise ValueError(
        f"{folder.name}: {triple.matrix.name} is of {rows} genes x {columns} cells, but there are"
        f" {len(genes)} names of genes and {len(cells)} barcodes; the three files must come from"
        " one run"
    )


def names_table(path: Path) -> pd.DataFrame:
    """Return a file of names as text, a row per name, without a header."""
    commas = plain(path.name).endswith(".csv")
    with decompressed(path) as stream:
        return pd.read_csv(
            stream,
            sep="," if commas else "\t",
            header=None,
            dtype=str,
            keep_default_na=False,
            quoting=0 if commas else 3,
            encoding_errors="replace",
        ).apply(lambda column: column.str.strip().str.strip('"'))


def without_header(names: pd.DataFrame, length: int) -> pd.DataFrame | None:
    """Return as many names as the matrix has, without a header's line if that is one too many;
    None where the numbers differ by more."""
    if len(names) == length:
        return names
    if len(names) != length + 1:
        return None
    return names.iloc[1:].set_axis(names.iloc[0].to_numpy(), axis=1).reset_index(drop=True)


def cell_frame(names: pd.DataFrame) -> pd.DataFrame:
    """Return `obs`: barcodes as its index, and further columns where the file has a header."""
    names = without_numbers(names)
    index = pd.Index(names.iloc[:, 0].to_numpy())
    more = names.iloc[:, 1:] if has_header(names) else names.iloc[:, :0]
    return more.set_index(index)


def gene_frame(names: pd.DataFrame) -> pd.DataFrame:
    """Return `var`: names of genes as its index, ids and kinds of features in its columns."""
    names = without_numbers(names)
    if has_header(names):
        return names.iloc[:, 1:].set_index(pd.Index(names.iloc[:, 0].to_numpy()))
    index = pd.Index(names[min(1, names.shape[1] - 1)].to_numpy())
    var = pd.DataFrame({"gene_ids": names[0].to_numpy()}, index=index)
    if names.shape[1] > 2:
        var["feature_types"] = names[2].to_numpy()
    return var


def has_header(names: pd.DataFrame) -> bool:
    """Whether columns have names of their own."""
    return any(isinstance(name, str) for name in names.columns)


def without_numbers(names: pd.DataFrame) -> pd.DataFrame:
    """Return the table without the numbers of its rows, which R puts first."""
    if names.shape[1] < 2:
        return names
    numbers = [str(i) for i in range(1, len(names) + 1)]
    first = names.iloc[:, 0].tolist()
    if first not in (numbers, [str(i) for i in range(len(names))]):
        return names
    rest = names.iloc[:, 1:]
    return rest if has_header(names) else rest.set_axis(range(rest.shape[1]), axis=1)


def refuse_splicing(genes: pd.DataFrame, triple: Triple) -> None:
    """Raise ValueError for alevin-fry's counts of spliced, unspliced and ambiguous molecules."""
    ids = genes.iloc[:, 0].to_numpy(dtype=object)
    if np.mean([str(name).endswith(("-U", "-A")) for name in ids]) > 0.5:
        raise ValueError(
            f"{triple.matrix.parent.name} counts spliced, unspliced and ambiguous molecules apart"
            ' (USA mode); add them up: pyroe.load_fry(FOLDER, output_format="scRNA").write_h5ad('
            '"mine.h5ad")'
        )
