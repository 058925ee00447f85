"""Formats that are refused, and the shortest way from each to an .h5ad."""

from __future__ import annotations

FROM_R = (
    'in R, load it and write it with anndataR: anndataR::write_h5ad(object, "mine.h5ad"), or with'
    ' zellkonverter::writeH5AD(Seurat::as.SingleCellExperiment(object), "mine.h5ad")'
)
FROM_EXCEL = (
    "save the sheet as .csv and give that (Excel turns gene names such as SEPT2 into dates, so"
    " prefer the file from before Excel)"
)
FROM_ARRAYS = (
    "it has no names of cells and genes, so build them in:"
    ' anndata.AnnData(X, obs=..., var=...).write_h5ad("mine.h5ad")'
)
FROM_READS = "count genes with Cell Ranger, STARsolo or kallisto first and give their output"
WAYS_OUT: dict[str, tuple[str, str]] = {
    ".rds": ("an R object", FROM_R),
    ".rdata": ("R's workspace", FROM_R),
    ".rda": ("R's workspace", FROM_R),
    ".robj": ("an R object", FROM_R),
    ".qs": ("an R object", FROM_R),
    ".qs2": ("an R object", FROM_R),
    ".h5seurat": (
        "a SeuratDisk file",
        'in R, convert it: SeuratDisk::Convert("mine.h5Seurat", dest = "h5ad"), or load it and use'
        ' anndataR::write_h5ad(object, "mine.h5ad")',
    ),
    ".xlsx": ("an Excel file", FROM_EXCEL),
    ".xls": ("an Excel file", FROM_EXCEL),
    ".xlsm": ("an Excel file", FROM_EXCEL),
    ".ods": ("a spreadsheet", FROM_EXCEL),
    ".npz": ("a numpy or scipy matrix", FROM_ARRAYS),
    ".npy": ("a numpy matrix", FROM_ARRAYS),
    ".mat": (
        "a MATLAB file",
        FROM_ARRAYS.replace("it has", "load it with scipy.io.loadmat; it has"),
    ),
    ".pkl": (
        "a Python pickle, which may run any code when it is opened",
        'open it where you trust it, and write adata.write_h5ad("mine.h5ad")',
    ),
    ".soma": (
        "a TileDB-SOMA experiment",
        'write it with tiledbsoma.io.to_h5ad(experiment, "mine.h5ad", measurement_name="RNA")',
    ),
    ".cloupe": ("a Loupe file", "give Cell Ranger's filtered_feature_bc_matrix.h5 of the same run"),
    ".vloupe": ("a Loupe V(D)J file", "give Cell Ranger's filtered_feature_bc_matrix.h5"),
    ".gct": (
        "a GCT table",
        "delete its first two lines and the column Description, save it as .tsv, and give that with"
        " --transpose",
    ),
    ".gef": (
        "a Stereo-seq file",
        "convert it with stereopy: stereo.io.stereo_to_anndata(data, output='mine.h5ad')",
    ),
    ".gem": ("a Stereo-seq table of spots", "bin it and convert it to .h5ad with stereopy"),
    ".bam": ("a file of aligned reads", FROM_READS),
    ".sam": ("a file of aligned reads", FROM_READS),
    ".cram": ("a file of aligned reads", FROM_READS),
    ".fastq": ("a file of reads", FROM_READS),
    ".fq": ("a file of reads", FROM_READS),
    ".sra": ("a file of reads", FROM_READS),
    ".7z": ("an archive that is not unpacked here", "unpack it (7z x) and give a file of it"),
    ".rar": ("an archive that is not unpacked here", "unpack it (unrar x) and give a file of it"),
    ".json": ("a JSON file", 'write the cells with adata.write_h5ad("mine.h5ad")'),
    ".pdf": ("a PDF", "give the file of counts"),
}
"""Formats by ending, in lower case: noun phrase, and the way to a file that can be read."""
WAYS_OUT |= {".pickle": WAYS_OUT[".pkl"], ".xlsb": WAYS_OUT[".xlsx"]}
ENDINGS = {ending: what for ending, (what, _) in WAYS_OUT.items()}
GEO = (
    "it describes samples and holds no counts of cells; give a supplementary file of the series"
    " instead (GEO lists them at the foot of the series' page)"
)
DOWNLOAD = "the download failed, so fetch the file again"
CONTENTS: dict[bytes, tuple[str, str]] = {
    b"<!doctype html": ("a web page, not the file itself", DOWNLOAD),
    b"<html": ("a web page, not the file itself", DOWNLOAD),
    b"<?xml": ("an XML page, not the file itself", DOWNLOAD),
    b"version https://git-lfs": (
        "a pointer of Git LFS, not the file itself",
        "run git lfs pull",
    ),
    b"/annex/objects": ("a pointer of git-annex, not the file itself", "run git annex get"),
    b"!series_": ("a series matrix of GEO", GEO),
    b"!sample_": ("a series matrix of GEO", GEO),
    b"^database": ("a SOFT file of GEO", GEO),
    b"^series": ("a SOFT file of GEO", GEO),
    b"^platform": ("a SOFT file of GEO", GEO),
    b"#1.2": WAYS_OUT[".gct"],
    b"#1.3": WAYS_OUT[".gct"],
    b"rdx2\n": WAYS_OUT[".rdata"],
    b"rdx3\n": WAYS_OUT[".rdata"],
    b"x\n\0\0": WAYS_OUT[".rds"],
    b"%pdf": WAYS_OUT[".pdf"],
    b"\xd0\xcf\x11\xe0": WAYS_OUT[".xls"],
    b"7z\xbc\xaf": WAYS_OUT[".7z"],
    b"rar!": WAYS_OUT[".rar"],
    b"\x93numpy": WAYS_OUT[".npy"],
}
"""Formats by their first bytes, in lower case."""


def way_out(ending: str) -> str:
    """Return the words that lead from a format to a file that can be read."""
    return WAYS_OUT[ending][1]


def several_modalities(names: list[str], file: str) -> str:
    """Return what is wrong with MuData, and how to write the RNA of it.

    >>> several_modalities(["adt", "gex"], "mine.h5mu")[:40]
    'mine.h5mu is MuData with the parts adt, '
    """
    rna = next(
        (name for name in names if name.lower() in ("rna", "gex", "gene expression")), "NAME"
    )
    return (
        f"{file} is MuData with the parts {', '.join(names)}; write the RNA of it:"
        f' mudata.read("{file}")["{rna}"].write_h5ad("mine.h5ad") (pip install mudata)'
    )
