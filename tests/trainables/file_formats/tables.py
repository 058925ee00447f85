"""Tables of counts, in the dialects of R, Excel, pandas and others."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np

from tests.trainables.file_formats.table import (
    COUNTS,
    GENES,
    N_CELLS,
    TYPES,
    Given,
    dense,
    labels,
    read,
    refused,
)


def text(folder: Path, content: str, name: str = "mine.csv", encoding: str = "utf-8") -> Given:
    """A text file with this content."""
    (folder / name).write_bytes(content.encode(encoding))
    return Given(folder / name)


@read
def csv(folder):
    return text(folder, dense().to_csv())


@read
def tsv_named_txt(folder):
    return text(folder, dense().to_csv(sep="\t"), "mine.txt")


@read
def tabs_named_csv(folder):
    return text(folder, dense().to_csv(sep="\t"))


@read
def semicolons(folder):
    return text(folder, dense().to_csv(sep=";"))


@read
def semicolons_and_decimal_commas(folder):
    table = dense()
    table[GENES] = table[GENES].astype(float)
    given = text(folder, table.to_csv(sep=";", decimal=","))
    given.note = "decimal commas"
    return given


@read
def tabs_compressed_by_bzip2(folder):
    (folder / "mine.tsv.bz2").write_bytes(bz2.compress(dense().to_csv(sep="\t").encode()))
    return Given(folder / "mine.tsv.bz2")


@read
def txt_gz(folder):
    (folder / "mine.txt.gz").write_bytes(gzip.compress(dense().to_csv(sep="\t").encode()))
    return Given(folder / "mine.txt.gz")


@read
def csv_xz(folder):
    (folder / "mine.csv.xz").write_bytes(lzma.compress(dense().to_csv().encode()))
    return Given(folder / "mine.csv.xz")


@read
def csv_zst(folder):
    import pyarrow

    with pyarrow.output_stream(str(folder / "mine.csv.zst"), compression="zstd") as stream:
        stream.write(dense().to_csv().encode())
    return Given(folder / "mine.csv.zst")


@read
def zip_of_one_table(folder):
    with zipfile.ZipFile(folder / "mine.zip", "w") as archive:
        archive.writestr("mine.csv", dense().to_csv())
        archive.writestr("__MACOSX/._mine.csv", "x")
    return Given(folder / "mine.zip")


@read
def excel_with_bom(folder):
    return text(folder, dense().to_csv(), encoding="utf-8-sig")


@read
def excel_unicode_text(folder):
    return text(folder, dense().to_csv(sep="\t"), "mine.txt", "utf-16")


@read
def excel_sep_line(folder):
    return text(folder, "sep=;\n" + dense().to_csv(sep=";"))


@read
def windows_line_ends(folder):
    return text(folder, dense().to_csv(lineterminator="\r\n"))


@read
def comments_first(folder):
    return text(folder, "# made by hand\n#\n" + dense().to_csv())


@read
def latin_1(folder):
    table = dense().assign(place="Orléans")
    given = text(folder, table.to_csv(), encoding="latin-1")
    given.note = "Windows-1252"
    return given


@read
def write_table_of_r(folder):
    lines = dense().to_csv(sep=" ", quoting=2).splitlines()
    header = lines[0].split(" ", 1)[1]  # R names no column of row names
    return text(folder, "\n".join([header, *lines[1:]]) + "\n", "mine.txt")


@read
def write_table_of_r_with_tabs(folder):
    lines = dense().to_csv(sep="\t").splitlines()
    return text(folder, "\n".join([lines[0].lstrip("\t"), *lines[1:]]) + "\n", "mine.tsv")


@read
def numbers_of_rows_first(folder):
    table = dense().reset_index(names="barcode")
    given = text(folder, table.to_csv())
    given.note = "column 'barcode'"
    return given


@read
def commas_at_line_ends(folder):
    lines = dense().to_csv().splitlines()
    return text(folder, "".join(f"{line},\n" for line in lines))


@read
def text_columns_beside_genes(folder):
    return text(folder, dense().assign(**{"Sample Name": "s1", "is_good": True}).to_csv())


@read
def numbers_that_describe_cells(folder):
    table = dense().assign(seurat_clusters=np.arange(N_CELLS) % 2, nCount_RNA=COUNTS.sum(axis=1))
    given = text(folder, table.to_csv())
    given.note = "seurat_clusters"
    return given


@read
def parquet(folder):
    dense().to_parquet(folder / "mine.parquet")
    return Given(folder / "mine.parquet")


@read
def feather(folder):
    dense().reset_index(names="barcode").to_feather(folder / "mine.feather")
    return Given(folder / "mine.feather")


def turned(folder: Path, **options: str) -> Path:
    """A table of genes x cells."""
    dense(labelled=False).T.to_csv(folder / "mine.csv", **options)
    return folder / "mine.csv"


@refused("add --transpose")
def genes_x_cells(folder):
    return Given(turned(folder), labels(folder))


@read
def genes_x_cells_with_transpose(folder):
    return Given(turned(folder), labels(folder), transpose=True)


@read
def genes_x_cells_with_a_row_of_labels(folder):
    dense().T.to_csv(folder / "mine.csv")
    return Given(folder / "mine.csv", transpose=True)


@read
def genes_x_cells_with_a_column_of_symbols(folder):
    table = dense(labelled=False).T
    table.insert(0, "symbol", GENES)
    table.index = [f"ENSG{i:011}" for i in range(len(GENES))]
    table.to_csv(folder / "mine.csv")
    return Given(folder / "mine.csv", labels(folder), transpose=True)


@read
def columns_aligned_by_blanks(folder):
    table = dense().assign(cell_type=[kind[0] for kind in TYPES])
    names = table.to_string()
    given = text(folder, names, "mine.txt")
    return Given(given.path, labels(folder))


@read
def table_without_an_ending(folder):
    (folder / "mine").write_bytes(gzip.compress(dense().to_csv().encode()))
    return Given(folder / "mine")


@read
def table_named_h5ad(folder):
    dense().to_csv(folder / "mine.h5ad")
    return Given(folder / "mine.h5ad")
