"""Every published data set, read from small files in its official layout."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from tests.trainables.conftest import some_cells, three_types, written
from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.datasets.pbmc12k import make
from trainables.datasets.pbmc12k import read as read_pbmc12k
from trainables.datasets.pbmc95k import POPULATIONS, archive
from trainables.layouts import read_10x_archive
from trainables.origins import Made, Web, data_home
from trainables.sources import Facts, Published
from trainables.store import Store

PUBLISHED = [n for n in catalog.names("datasets") if isinstance(catalog.dataset(n), Published)]


def tenx_archive(path: Path, barcodes: list[str], genes: int = 5) -> Path:
    """Cell Ranger 1's archive: filtered_matrices_mex/hg19 with its three files."""
    counts = np.arange(genes * len(barcodes)).reshape(genes, -1) % 4 + 1
    entries = [
        f"{g + 1} {c + 1} {counts[g, c]}" for g in range(genes) for c in range(len(barcodes))
    ]
    head = (
        f"%%MatrixMarket matrix coordinate integer general\n{genes} {len(barcodes)} {len(entries)}"
    )
    texts = {
        "matrix.mtx": "\n".join([head, *entries]) + "\n",
        "genes.tsv": "".join(
            f"ENSG{g}\t{'TWICE' if g < 2 else f'GENE{g}'}\n" for g in range(genes)
        ),
        "barcodes.tsv": "".join(f"{barcode}\n" for barcode in barcodes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in texts.items():
            info = tarfile.TarInfo(f"filtered_matrices_mex/hg19/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def gzipped(cells: ad.AnnData, path: Path) -> Path:
    plain = written(cells, path.with_suffix(""))
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def logged(base: float | None, **columns: object) -> ad.AnnData:
    cells = some_cells(counts=False, **columns)
    cells.uns["log1p"] = {} if base is None else {"base": base}
    return cells


def pair(folder: Path, names: tuple[str, str], key: str, symbols: bool = False) -> list[Path]:
    paths = []
    for name, n in zip(names, (8, 4), strict=True):
        cells = some_cells(n, **{key: three_types(n)})
        if symbols:
            cells.var["gene_name"] = [f"SYM{i}" for i in range(cells.n_vars)]
        paths.append(written(cells, folder / name))
    return paths


def liver(folder: Path) -> list[Path]:
    """GEO's table of 12 cells x 300 genes, and a list of 250 of them and one more, reversed."""
    cells, genes = [f"P1TLH_{i}" for i in range(12)], [f"GENE{i}" for i in range(300)]
    values = np.random.default_rng(0).uniform(0.1, 21, (300, 12)).round(3)
    values[:150, 11] = 0  # the last cell has 150 genes, too few
    types = ["Hepatocyte_1", "Hepatocyte_6", "Cholangiocytes"] * 4
    about = pd.DataFrame({"CellName": cells[::-1], "Sample": "P1TLH", "CellType": types[::-1]})
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(values, index=pd.Index(genes), columns=cells).to_csv(
        folder / "GSE115469_Data.csv.gz"
    )
    about.to_csv(folder / "GSE115469_CellClusterType.txt.gz", sep="\t", index=False)
    listed = ["ABSENT", *genes[249::-1]]
    panglao = ad.AnnData(X=np.ones((2, len(listed)), dtype="float32"))
    panglao.var_names = listed
    return [
        folder / "GSE115469_Data.csv.gz",
        folder / "GSE115469_CellClusterType.txt.gz",
        gzipped(panglao, folder / "panglao_10000.h5ad.gz"),
    ]


def layout(name: str, folder: Path) -> list[Path]:
    """Small files as the authors of a data set lay theirs out."""
    ms = "Factor Value[inferred cell type - authors labels]"
    if name == "zheng68k":
        return [gzipped(logged(2.0, celltype=three_types()), folder / "Zheng68K.h5ad.gz")]
    if name == "zheng68k_counts":
        archive_path = tenx_archive(
            folder / "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz", ["AA-1", "CC-1"]
        )
        labels = folder / "68k_pbmc_barcodes_annotation.tsv"
        labels.write_text("TSNE.1\tTSNE.2\tbarcodes\tcelltype\n0\t0\tCC-1\tNK\n0\t0\tAA-1\tB\n")
        return [archive_path, labels]
    if name == "ms":
        return pair(folder, ("c_data.h5ad", "filtered_ms_adata.h5ad"), ms, symbols=True)
    if name == "myeloid":
        return pair(folder, ("reference_adata.h5ad", "query_adata.h5ad"), "cell_type")
    if name == "pancreas":
        return pair(folder, ("demo_train.h5ad", "demo_test.h5ad"), "Celltype")
    if name == "panglao":
        return [written(logged(2.0), folder / "panglao_human.h5ad")]
    if name == "panglao_10000":
        return [gzipped(logged(None), folder / "panglao_10000.h5ad.gz")]
    if name == "macparland":
        cells = [f"P1TLH_{i}" for i in range(12)]
        table = pd.DataFrame(some_cells(counts=False).X.toarray().T, columns=cells)
        table.index = pd.Index([f"GENE{i}" for i in range(len(table))])
        types = ["Hepatocyte_1", "Hepatocyte_6", "Cholangiocytes"] * 4
        about = pd.DataFrame({"CellName": cells[::-1], "Sample": "P1TLH", "CellType": types[::-1]})
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / "GSE115469_Data.csv.gz")
        about.to_csv(folder / "GSE115469_CellClusterType.txt.gz", sep="\t", index=False)
        return [folder / "GSE115469_Data.csv.gz", folder / "GSE115469_CellClusterType.txt.gz"]
    if name.startswith("macparland_scbert"):
        return liver(folder)
    if name == "pancreas_scib":
        tech = ["celseq", "inDrop1", "inDrop4"] * 4
        cells = some_cells(counts=False, celltype=three_types(), tech=tech)
        cells.layers["counts"] = some_cells().X
        return [written(cells, folder / "human_pancreas_norm_complexBatch.h5ad")]
    if name == "pbmc12k":
        cells = some_cells(str_labels=three_types(), batch=["0", "1"] * 6)
        cells.var["gene_symbols"] = [f"SYM{i}" for i in range(cells.n_vars)]
        return [written(cells, folder / "pbmc12k.h5ad")]
    if name == "pbmc95k":
        return [tenx_archive(folder / archive(p), ["AA-1", "CC-1"]) for p in POPULATIONS]
    if name == "immune":
        cells = some_cells(
            counts=False, Manually_curated_celltype=three_types(), Donor=["A", "B"] * 6
        )
        cells.layers["counts"] = some_cells().X
        return [written(cells, folder / "CountAdded_PIP_global_object_for_cellxgene.h5ad")]
    if name == "tabula_sapiens":
        columns = {"organ_tissue": three_types(), "donor": ["TSP1", "TSP2"] * 6, "method": "10X"}
        cells = some_cells(counts=False, **columns)
        cells.layers["raw_counts"] = some_cells().X
        plain = written(cells, folder / "TabulaSapiens.h5ad")
        with zipfile.ZipFile(folder / "TabulaSapiens.h5ad.zip", "w") as box:
            box.write(plain, plain.name)
        return [folder / "TabulaSapiens.h5ad.zip"]
    raise NotImplementedError(f"no layout for {name}: write one when you add a data set")


def small(name: str, tmp_path: Path, **changes: object) -> Published:
    """The catalog's data set on small files: sizes and hashes are not the official ones."""
    official = catalog.dataset(name)
    assert isinstance(official, Published)
    files = tuple(replace(file, sha256="", git_blob="") for file in official.files)
    here = replace(official, files=files, home=tmp_path / "home", **{"facts": Facts(), **changes})
    here.add(layout(name, tmp_path / "official"))
    return here


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_declaration_says_what_it_must(name: str):
    source = catalog.dataset(name)
    assert isinstance(source, Published)
    assert source.name == name
    assert all([source.summary, source.citation, source.licence, source.values, source.files])
    assert source.facts.cells
    assert set(source.inferred) <= set(vars(source.facts))
    for file in source.files:
        assert isinstance(file, Made) or (file.url if isinstance(file, Web) else file.page)
        assert len(file.sha256) in (0, 64)
        assert len(file.git_blob) in (0, 40)
    labelled = source.label_key is not None
    assert labelled or name.startswith("panglao")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_official_layout_is_read(name: str, tmp_path: Path):
    here = small(name, tmp_path)
    prepared = open_cells(prepare(here, Store(tmp_path / "store")))
    assert len(here.sha256) == 64
    assert prepared.n_obs >= 2
    assert ("cell_type" in prepared.obs) == (here.label_key is not None)
    assert ("batch" in prepared.obs) == (here.batch_key is not None)
    assert any("X: " in note for note in prepared.uns["gauntlet"]["notes"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_cells_of_another_size_are_not_taken_for_the_papers(name: str, tmp_path: Path):
    official = catalog.dataset(name)
    assert isinstance(official, Published)
    here = small(name, tmp_path, facts=official.facts, inferred=())
    expected = f"{official.facts.cells:,} are expected"
    with pytest.raises(ValueError, match=f"{name}: it has .* cells where {expected}"):
        here.read()


@pytest.mark.parametrize("name", ["ms", "myeloid", "pancreas"])
def test_the_authors_split_is_kept(name: str, tmp_path: Path):
    cells = small(name, tmp_path, facts=Facts(train=8, test=4)).read()
    assert cells.obs["split"].value_counts().to_dict() == {"train": 8, "test": 4}
    assert cells.obs_names.is_unique


def test_genes_that_differ_between_train_and_test_are_refused(tmp_path: Path):
    here = replace(catalog.dataset("pancreas"), home=tmp_path / "home")  # pyright: ignore
    train, test = layout("pancreas", tmp_path / "official")
    other = ad.read_h5ad(test)
    other.var_names = [f"OTHER{i}" for i in range(other.n_vars)]
    here.add([train, written(other, test)])
    with pytest.raises(ValueError, match=r"differ in their genes \(0 of 6 shared\)"):
        here.read()


@pytest.mark.parametrize("name", ["zheng68k", "panglao", "panglao_10000"])
def test_base_two_becomes_the_natural_logarithm(name: str, tmp_path: Path):
    np.testing.assert_allclose(
        small(name, tmp_path).read().X.toarray(), np.log1p(some_cells().X.toarray()), rtol=1e-6
    )


def test_labels_are_joined_by_barcode_and_not_by_position(tmp_path: Path):
    cells = small("zheng68k_counts", tmp_path).read()
    assert cells.obs["cell_type"].to_dict() == {"AA-1": "B", "CC-1": "NK"}


def test_a_symbol_that_occurs_twice_is_made_unique(tmp_path: Path):
    cells = read_10x_archive(tenx_archive(tmp_path / "x.tar.gz", ["AA-1"]))
    assert list(cells.var_names[:2]) == ["TWICE", "TWICE-1"]
    assert list(cells.var["ensembl_id"][:2]) == ["ENSG0", "ENSG1"]


def test_hepatocyte_clusters_become_one_type(tmp_path: Path):
    cells = small("macparland", tmp_path, facts=Facts(labels=2, batches=1)).read()
    assert cells.obs["cell_type"].value_counts().to_dict() == {"Hepatocyte": 8, "Cholangiocytes": 4}


def test_liver_cells_are_on_the_genes_of_scbert_as_the_authors_took_them(tmp_path: Path):
    """A gene that is absent is zero, cells need 200 genes, and values are log2."""
    source = small("macparland_scbert", tmp_path, facts=Facts(cells=11, genes=251, labels=2))
    cells = source.read()
    given = pd.read_csv(source.paths()[0], index_col=0)
    assert list(cells.var_names[:2]) == ["ABSENT", "GENE249"]
    assert cells[:, "ABSENT"].X.sum() == 0
    expected = given.loc["GENE7"].to_numpy()[:11] * np.log(2)
    np.testing.assert_allclose(cells[:, "GENE7"].X.toarray().ravel(), expected, rtol=1e-5)
    apart = small("macparland_scbert_20", tmp_path / "20", facts=Facts(labels=3)).read()
    assert set(apart.obs["cell_type"]) == {"Hepatocyte_1", "Hepatocyte_6", "Cholangiocytes"}


def test_indrop_runs_are_one_batch(tmp_path: Path):
    cells = small("pancreas_scib", tmp_path).read()
    assert sorted(cells.obs["batch"].unique()) == ["celseq", "indrop"]


@pytest.mark.parametrize("name", ["pancreas_scib", "immune", "tabula_sapiens"])
def test_counts_are_preferred_to_logged_values(name: str, tmp_path: Path):
    prepared = open_cells(prepare(small(name, tmp_path), Store(tmp_path / "store")))
    assert prepared.uns["gauntlet"]["has_counts"]


def test_a_counts_layer_without_counts_is_not_believed(tmp_path: Path):
    here = small("pancreas_scib", tmp_path)
    cells = ad.read_h5ad(here.paths()[0])
    cells.layers["counts"] = cells.layers["counts"] * 0.3
    here.add([written(cells, tmp_path / "corrected.h5ad")], replace=True)
    assert any("holds no counts" in note for note in here.read().uns["notes"])


def test_what_scvi_tools_loads_is_kept_under_our_names(tmp_path: Path):
    class Data:
        """As `scvi.data`: genes by Ensembl id, tables of quality beside."""

        @staticmethod
        def pbmc_dataset(save_path: str) -> ad.AnnData:
            cells = some_cells(labels=[0, 1, 2] * 4, str_labels=three_types(), batch=[0, 1] * 6)
            cells.var["gene_symbols-0"] = [f"SYM{i}" for i in range(cells.n_vars)]
            cells.obsm["raw_qc"] = pd.DataFrame({"x": range(12)}, index=cells.obs_names)
            return cells

    written(make(Data, tmp_path), tmp_path / "pbmc12k.h5ad")
    cells = read_pbmc12k([tmp_path / "pbmc12k.h5ad"])
    assert list(cells.var_names[:2]) == ["SYM0", "SYM1"]
    assert list(cells.var["ensembl_id"][:2]) == ["GENE0", "GENE1"]


def test_ten_populations_are_ten_types(tmp_path: Path):
    cells = small("pbmc95k", tmp_path, facts=Facts(cells=20, labels=10)).read()
    assert cells.obs_names.is_unique


def test_the_home_is_gauntlet_data_or_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAUNTLET_DATA", raising=False)
    assert data_home() == tmp_path / "gauntlet-data"
    monkeypatch.setenv("GAUNTLET_DATA", str(tmp_path / "elsewhere"))
    assert data_home() == tmp_path / "elsewhere"
