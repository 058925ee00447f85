"""Folders of a sparse matrix and names, as Cell Ranger, STARsolo, GEO and others have them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.io import mmwrite

from tests.trainables.file_formats.table import (
    CELLS,
    COUNTS,
    GENES,
    IDS,
    Given,
    labels,
    read,
    refused,
)

FEATURES = [f"{i}\t{gene}\tGene Expression" for i, gene in zip(IDS, GENES, strict=True)]


def write(path: Path, lines: list[str]) -> None:
    """Write lines, compressed where the name says so."""
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def matrix(path: Path, values: np.ndarray) -> None:
    """Write a Matrix Market file, compressed where the name says so."""
    mmwrite(path.with_suffix(".tmp.mtx"), sparse.coo_matrix(values))
    content = path.with_suffix(".tmp.mtx").read_bytes()
    path.with_suffix(".tmp.mtx").unlink()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def tenx(
    folder: Path,
    prefix: str = "",
    ending: str = ".gz",
    features: str = "features.tsv",
    barcodes: str = "barcodes.tsv",
    values: np.ndarray = COUNTS.T,
) -> Path:
    """Cell Ranger's folder of three files."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix(folder / f"{prefix}matrix.mtx{ending}", values)
    write(folder / f"{prefix}{features}{ending}", FEATURES)
    write(folder / f"{prefix}{barcodes}{ending}", CELLS)
    return folder


@read
def cell_ranger_3(folder):
    return Given(tenx(folder / "filtered_feature_bc_matrix"), labels(folder))


@read
def cell_ranger_2(folder):
    home = tenx(folder / "mine", ending="", features="genes.tsv")
    write(home / "genes.tsv", [line.rsplit("\t", 1)[0] for line in FEATURES])
    return Given(home, labels(folder))


@read
def cell_ranger_2_with_its_genome(folder):
    tenx(folder / "filtered_gene_bc_matrices" / "GRCh38", ending="", features="genes.tsv")
    return Given(folder / "filtered_gene_bc_matrices", labels(folder), note="GRCh38")


@read
def outs_of_cell_ranger(folder):
    tenx(folder / "outs" / "raw_feature_bc_matrix", values=COUNTS.T * 2)
    tenx(folder / "outs" / "filtered_feature_bc_matrix")
    (folder / "outs" / "analysis" / "clustering").mkdir(parents=True)
    return Given(folder / "outs", labels(folder), note="filtered_feature_bc_matrix")


@read
def run_of_cell_ranger(folder):
    tenx(folder / "sample1" / "outs" / "filtered_feature_bc_matrix")
    return Given(folder / "sample1", labels(folder), note="filtered_feature_bc_matrix")


@read
def solo_out_of_star(folder):
    home = folder / "Solo.out"
    tenx(home / "Gene" / "filtered", ending="")
    tenx(home / "Gene" / "raw", ending="", values=COUNTS.T * 2)
    tenx(home / "SJ" / "raw", ending="")
    tenx(home / "Velocyto" / "filtered", ending="")
    return Given(home, labels(folder), note="Gene/filtered")


@read
def prefixes_of_geo(folder):
    return Given(tenx(folder / "mine", "GSM123_sample_"), labels(folder))


@read
def prefixes_of_geo_with_dots(folder):
    return Given(tenx(folder / "mine", "GSM123-s1."), labels(folder))


@read
def one_of_two_samples_of_geo(folder):
    tenx(folder / "mine", "GSM1_a_")
    tenx(folder / "mine", "GSM2_b_", values=COUNTS.T * 2)
    return Given(folder / "mine" / "GSM1_a_matrix.mtx.gz", labels(folder))


@read
def samples_of_geo_that_share_their_genes(folder):
    tenx(folder / "mine", "GSM1_a_")
    tenx(folder / "mine", "GSM2_b_", values=COUNTS.T * 2)
    for prefix in ("GSM1_a_", "GSM2_b_"):
        shutil.move(
            folder / "mine" / f"{prefix}features.tsv.gz", folder / "mine" / "GSE9_features.tsv.gz"
        )
    return Given(folder / "mine" / "GSM1_a_matrix.mtx.gz", labels(folder))


@read
def matrix_alone_named(folder):
    return Given(tenx(folder / "mine") / "matrix.mtx.gz", labels(folder))


@read
def matrix_of_cells_x_genes(folder):
    return Given(tenx(folder / "mine", values=COUNTS), labels(folder))


@read
def names_with_headers(folder):
    home = tenx(folder / "mine", ending="")
    write(home / "barcodes.tsv", ["barcode", *CELLS])
    write(home / "features.tsv", ["gene_id\tgene_name\ttype", *FEATURES])
    return Given(home, labels(folder))


@read
def names_as_r_writes_them(folder):
    home = tenx(folder / "mine", ending="", barcodes="barcodes.csv", features="genes.csv")
    pd.DataFrame({"x": CELLS}, index=range(1, len(CELLS) + 1)).to_csv(home / "barcodes.csv")
    pd.DataFrame({"x": GENES}, index=range(1, len(GENES) + 1)).to_csv(home / "genes.csv")
    return Given(home, labels(folder))


@read
def barcodes_with_windows_line_ends(folder):
    home = tenx(folder / "mine", ending="")
    (home / "barcodes.tsv").write_bytes("\r\n".join(CELLS).encode() + b"\r\n")
    return Given(home, labels(folder))


@read
def kallisto_bustools(folder):
    home = folder / "counts_unfiltered"
    home.mkdir()
    matrix(home / "cells_x_genes.mtx", COUNTS)
    write(home / "cells_x_genes.barcodes.txt", CELLS)
    write(home / "cells_x_genes.genes.txt", [f"{i}.4" for i in IDS])
    write(home / "cells_x_genes.genes.names.txt", GENES)
    return Given(home, labels(folder))


@read
def alevin_fry(folder):
    home = folder / "alevin"
    home.mkdir()
    matrix(home / "quants_mat.mtx", COUNTS)
    write(home / "quants_mat_rows.txt", CELLS)
    write(home / "quants_mat_cols.txt", GENES)
    return Given(folder, labels(folder))


@read
def split_pipe_of_parse(folder):
    home = folder / "DGE_filtered"
    home.mkdir()
    matrix(home / "DGE.mtx", COUNTS)
    write(home / "cell_metadata.csv", ["bc_wells,sample", *(f"{cell},s1" for cell in CELLS)])
    rows = [f"{i},{gene},hg38" for i, gene in zip(IDS, GENES, strict=True)]
    write(home / "all_genes.csv", ["gene_id,gene_name,genome", *rows])
    return Given(home, labels(folder))


@read
def tarred_folder(folder):
    tenx(folder / "filtered_feature_bc_matrix")
    shutil.make_archive(str(folder / "mine"), "gztar", folder, "filtered_feature_bc_matrix")
    return Given(folder / "mine.tar.gz", labels(folder))


@read
def folder_with_files_of_macos(folder):
    home = tenx(folder / "mine")
    for file in sorted(home.iterdir()):
        (home / f"._{file.name}").write_bytes(b"\0\5\26\7")
    (home / ".DS_Store").touch()
    return Given(home, labels(folder))


@read
def zipped_folder(folder):
    tenx(folder / "mine")
    return Given(
        Path(shutil.make_archive(str(folder / "mine"), "zip", folder, "mine")), labels(folder)
    )


@refused("holds 2 matrices (GSM1_a_matrix.mtx.gz, GSM2_b_matrix.mtx.gz)")
def two_samples_of_geo(folder):
    tenx(folder / "mine", "GSM1_a_")
    return Given(tenx(folder / "mine", "GSM2_b_"), labels(folder))


@refused("holds 2 matrices")
def samples_of_cell_ranger_multi(folder):
    home = folder / "per_sample_outs"
    for sample in ("s1", "s2"):
        tenx(home / sample / "count" / "sample_filtered_feature_bc_matrix")
    return Given(home, labels(folder))


@refused("GSE9_RAW.tar holds 2 files (GSM1_a_matrix.mtx.gz, GSM2_b_matrix.mtx.gz); unpack it")
def archive_of_a_series_of_geo(folder):
    tenx(folder / "raw", "GSM1_a_")
    tenx(folder / "raw", "GSM2_b_")
    path = shutil.make_archive(str(folder / "GSE9_RAW"), "tar", folder / "raw")
    return Given(Path(path), labels(folder))


@refused("USA mode")
def alevin_fry_of_splicing(folder):
    home = folder / "alevin"
    home.mkdir()
    matrix(home / "quants_mat.mtx", np.hstack([COUNTS, COUNTS, COUNTS]))
    write(home / "quants_mat_rows.txt", CELLS)
    every = [gene + end for end in ("", "-U", "-A") for gene in GENES]
    write(home / "quants_mat_cols.txt", every)
    return Given(home, labels(folder))


@refused("2 genomes (GRCh38, mm10)")
def folder_of_two_genomes(folder):
    home = tenx(folder / "mine", ending="")
    half = len(GENES) // 2
    species = ["GRCh38_"] * half + ["mm10___"] * half
    lines = [f"{s}{i}\t{s}{g}" for s, i, g in zip(species, IDS, GENES, strict=True)]
    write(home / "features.tsv", lines)
    return Given(home, labels(folder))


@refused("no barcodes.tsv")
def matrix_without_names(folder):
    matrix(folder / "counts.mtx", COUNTS)
    return Given(folder / "counts.mtx", labels(folder))


@refused("damaged or was cut short")
def matrix_cut_short(folder):
    home = tenx(folder / "mine")
    whole = (home / "matrix.mtx.gz").read_bytes()
    (home / "matrix.mtx.gz").write_bytes(whole[: len(whole) // 2])
    return Given(home, labels(folder))
