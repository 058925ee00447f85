"""Tables that are refused, and files of other kinds that look like tables."""

from __future__ import annotations

import gzip
import zipfile

import pandas as pd
from scipy import sparse

from tests.trainables.file_formats.table import (
    CELLS,
    COUNTS,
    GENES,
    LABELS,
    N_CELLS,
    Given,
    dense,
    labels,
    read,
    refused,
)
from tests.trainables.file_formats.tables import text


@refused("cut short")
def compressed_table_cut_short(folder):
    whole = gzip.compress(dense().to_csv().encode())
    (folder / "mine.csv.gz").write_bytes(whole[: len(whole) // 2])
    return Given(folder / "mine.csv.gz")


@refused("leave --transpose out")
def cells_x_genes_with_transpose(folder):
    dense().to_csv(folder / "mine.csv")
    return Given(folder / "mine.csv", transpose=True)


@refused("add --transpose")
def genes_x_cells_of_few_genes(folder):
    table = pd.DataFrame(COUNTS[:, :5], index=CELLS, columns=[f"G{i}" for i in range(5)])
    table.T.to_csv(folder / "mine.csv")
    return Given(folder / "mine.csv", labels(folder))


@refused("decimal points")
def thousands(folder):
    return text(
        folder, "cell\tcell_type\tCD3D\tLYZ\nc1\ta\t1,234\t0\nc2\tb\t2,345\t1\n", "mine.tsv"
    )


@refused("holds text")
def counts_with_a_word(folder):
    return text(folder, "cell,cell_type,CD3D,LYZ\nc1,a,1,2\nc2,b,many,3\n")


@refused("its header has 3 columns, and row 2 has 4")
def ragged_rows(folder):
    return text(folder, "cell,CD3D,LYZ\nc1,1,2\nc2,1,2,3\n")


@refused("a header and no rows")
def header_alone(folder):
    return text(folder, "cell,cell_type,CD3D\n")


@refused("Excel turned names of genes into dates")
def dates_twice(folder):
    table = dense()
    table.columns = ["cell_type", "2-Sep", "2-Sep", *GENES[2:]]
    return text(folder, table.to_csv())


@refused("occur more than once")
def column_twice(folder):
    table = dense()
    table.columns = ["cell_type", GENES[1], *GENES[1:]]
    return text(folder, table.to_csv())


@refused("series matrix of GEO")
def series_matrix(folder):
    return text(folder, '!Series_title\t"Cells"\n!Series_geo_accession\t"GSE9"\n', "mine.txt")


@read
def names_of_columns_in_a_comment(folder):
    header, *rows = dense().to_csv(sep="\t").splitlines()
    rows = [row.replace("B cell", "1").replace("T cell", "2") for row in rows]
    names = "# " + header.strip().replace("\t", " ")
    given = text(folder, "\n".join(["# made by hand", names, *rows]) + "\n", "mine.tsv")
    table = LABELS.rename(columns={"cell_type": "kind"})
    return Given(given.path, labels(folder, table), label_key="kind")


@refused("has no header")
def no_header(folder):
    return text(folder, dense(labelled=False).to_csv(header=False))


@refused("scanpy.read_umi_tools")
def a_count_per_row(folder):
    return text(folder, "gene\tcell\tcount\nCD3D\tAAA\t3\nCD3D\tCCC\t1\n", "mine.tsv")


@refused("does not name cells")
def fragments_of_atac(folder):
    rows = "".join(f"chr1\t{i}\t{i + 90}\tAAA-1\t1\n" for i in range(9))
    return text(folder, "# id=pbmc\n" + rows, "fragments.tsv")


@refused("describes receptors")
def receptors(folder):
    return text(folder, "barcode,contig_id,length,reads\nAAA-1,AAA-1_c1,500,9\n")


@refused("add --transpose")
def genes_x_cells_of_a_mixture(folder):
    table = dense(labelled=False).T
    table.index = [f"HUMAN_{gene}" for gene in GENES]
    table.columns = [f"Barcode{i}" for i in range(N_CELLS)]
    return text(folder, table.to_csv())


@refused("GCT table")
def gct(folder):
    return text(folder, "#1.2\n2\t2\nName\tDescription\ts1\ts2\nCD3D\tna\t1\t2\n", "mine.txt")


@refused("save the sheet as .csv")
def excel(folder):
    with zipfile.ZipFile(folder / "mine.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return Given(folder / "mine.xlsx")


@refused("save the sheet as .csv")
def excel_named_csv(folder):
    with zipfile.ZipFile(folder / "mine.csv", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return Given(folder / "mine.csv")


@refused("no names of cells and genes")
def npz(folder):
    sparse.save_npz(folder / "mine.npz", sparse.csr_matrix(COUNTS))
    return Given(folder / "mine.npz")


@refused("anndataR::write_h5ad")
def rds(folder):
    (folder / "mine.rds").write_bytes(gzip.compress(b"X\n\0\0\0\3"))
    return Given(folder / "mine.rds")


@refused("anndataR::write_h5ad")
def rdata_without_its_ending(folder):
    (folder / "mine.dat").write_bytes(gzip.compress(b"RDX3\nX\n\0\0\0\3"))
    return Given(folder / "mine.dat")


@refused("holds 2 files (a.csv, b.csv)")
def zip_of_two_tables(folder):
    with zipfile.ZipFile(folder / "mine.zip", "w") as archive:
        archive.writestr("a.csv", dense().to_csv())
        archive.writestr("b.csv", dense().to_csv())
    return Given(folder / "mine.zip")
