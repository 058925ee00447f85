"""Whatever is wrong with a file, the command says so in one sentence and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from orchestrator import cli, driver

Build = Callable[[Path], list[str]]
CASES: dict[str, tuple[Build, str]] = {}


def broken(fragment: str) -> Callable[[Build], Build]:
    """Enter a broken input into the table: it gives the options, the sentence has the fragment."""

    def enter(build: Build) -> Build:
        CASES[build.__name__] = (build, fragment)
        return build

    return enter


def some_cells(x: Any = None, **obs: Any) -> Any:
    """Thirty cells of two types on six genes: fine, until something is done to them."""
    rng = np.random.default_rng(0)
    x = rng.poisson(2.0, (30, 6)).astype(np.float32) if x is None else x
    columns = {"cell_type": ["a", "b"] * 15} | obs
    frame = pd.DataFrame(
        {key: value for key, value in columns.items() if value is not None},
        index=pd.Index([f"cell{i}" for i in range(30)]),
    )
    return ad.AnnData(X=x, obs=frame, var=pd.DataFrame(index=[f"GENE{i}" for i in range(6)]))


def saved(folder: Path, cells: Any, name: str = "mine.h5ad") -> list[str]:
    """The cells in a file, as options of the command."""
    cells.write_h5ad(folder / name)
    return ["--data", str(folder / name)]


def with_value(value: float) -> Any:
    """Log-like cells of which one value is this."""
    x = np.log1p(some_cells().X)
    x[3, 2] = value
    return some_cells(x)


def edited(folder: Path, edit: Callable[[Any], None]) -> list[str]:
    """A sound file after something was done to it behind anndata's back."""
    cells = some_cells(sparse.csr_matrix(some_cells().X))
    options = saved(folder, cells)
    with h5py.File(folder / "mine.h5ad", "a") as file:
        edit(file)
    return options


def text(folder: Path, name: str, content: str) -> list[str]:
    (folder / name).write_text(content)
    return ["--data", str(folder / name)]


# files


@broken("there is no file")
def missing_file(folder):
    return ["--data", str(folder / "nowhere.h5ad")]


@broken("is a folder")
def plain_folder(folder):
    (folder / "data").mkdir()
    return ["--data", str(folder / "data")]


@broken("is an empty file")
def empty_file(folder):
    return text(folder, "mine.h5ad", "")


@broken("not a readable .h5ad file")
def text_named_h5ad(folder):
    return text(folder, "mine.h5ad", "cell,gene\n1,2\n")


@broken("cut short")
def truncated_h5ad(folder):
    options = saved(folder, some_cells())
    whole = (folder / "mine.h5ad").read_bytes()
    (folder / "mine.h5ad").write_bytes(whole[: len(whole) // 2])
    return options


@broken("of no kind that can be read")
def unknown_ending(folder):
    return text(folder, "mine.rds", "RDX3")


@broken("of no kind that can be read")
def no_ending(folder):
    return text(folder, "mine", "cells")


@broken("was not written by anndata")
def other_hdf5(folder):
    with h5py.File(folder / "mine.h5ad", "w") as file:
        file["numbers"] = [1, 2]
    return ["--data", str(folder / "mine.h5ad")]


@broken("no var")
def h5ad_without_var(folder):
    return edited(folder, lambda file: file.__delitem__("var"))


@broken("has no X")
def h5ad_without_x(folder):
    return edited(folder, lambda file: file.__delitem__("X"))


@broken("not a readable .h5ad file")
def sparse_x_without_indices(folder):
    return edited(folder, lambda file: file["X"].__delitem__("indices"))


@broken("not a readable .h5ad file")
def sparse_x_cut_short(folder):
    def cut(file):
        kept = file["X/data"][:-5]
        del file["X/data"]
        file["X/data"] = kept

    return edited(folder, cut)


@broken("damaged")
def indices_beyond_the_genes(folder):
    def spoil(file):
        file["X/indices"][7] = 6000

    return edited(folder, spoil)


@broken("obs names 29 cells")
def obs_shorter_than_x(folder):
    saved(folder, some_cells()[:29].copy(), "short.h5ad")

    def swap(file):
        del file["obs"]
        with h5py.File(folder / "short.h5ad") as short:
            short.copy("obs", file)

    return edited(folder, swap)


@broken("damaged")
def compressed_chunk_damaged(folder):
    path = folder / "mine.h5ad"
    some_cells().write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        place = file["X"].id.get_chunk_info(0)
    spoilt = bytearray(path.read_bytes())
    spoilt[place.byte_offset : place.byte_offset + place.size] = b"\xff" * place.size
    path.write_bytes(spoilt)
    return ["--data", str(path)]


@broken("holds no zarr group")
def zarr_that_is_empty(folder):
    (folder / "mine.zarr").mkdir()
    return ["--data", str(folder / "mine.zarr")]


@broken("it has no obs")
def zarr_without_obs(folder):
    import shutil

    some_cells().write_zarr(folder / "mine.zarr", convert_strings_to_categoricals=False)
    shutil.rmtree(folder / "mine.zarr" / "obs")
    (folder / "mine.zarr" / ".zmetadata").unlink(missing_ok=True)
    return ["--data", str(folder / "mine.zarr")]


@broken("not a readable 10x .h5 file")
def tenx_without_matrix(folder):
    with h5py.File(folder / "mine.h5", "w") as file:
        file["numbers"] = [1, 2]
    return ["--data", str(folder / "mine.h5")]


@broken("needs loompy")
def loom_without_loompy(folder):
    if any((Path(p) / "loompy").exists() for p in sys.path):
        pytest.skip("loompy is installed")
    return text(folder, "mine.loom", "loom")


def mtx(folder: Path, leave_out: str = "", genes: int = 3) -> list[str]:
    """A 10x folder of three genes and two cells."""
    files = {
        "matrix.mtx": "%%MatrixMarket matrix coordinate integer general\n3 2 2\n1 1 5\n3 2 1\n",
        "barcodes.tsv": "AAA\nCCC\n",
        "features.tsv": "".join(f"ENSG0000000000{i}\tG{i}\n" for i in range(genes)),
    }
    for name, content in files.items():
        if name != leave_out:
            (folder / name).write_text(content)
    return ["--data", str(folder)]


@broken("has no barcodes.tsv")
def mtx_without_barcodes(folder):
    return mtx(folder, leave_out="barcodes.tsv")


@broken("has no features.tsv or genes.tsv")
def mtx_without_features(folder):
    return mtx(folder, leave_out="features.tsv")


@broken("2 names of genes")
def mtx_with_too_few_features(folder):
    return mtx(folder, genes=2)


@broken("--labels")
def mtx_without_labels(folder):
    return mtx(folder)


@broken("not a readable 10x folder")
def mtx_that_is_text(folder):
    options = mtx(folder)
    (folder / "matrix.mtx").write_text("nothing of the kind\n")
    return options


@broken("holds text ('many' in row 'c2')")
def csv_with_text(folder):
    return text(folder, "mine.csv", "cell,cell_type,G1,G2\nc1,a,1,2\nc2,b,many,3\n")


@broken("separate columns by commas")
def csv_with_semicolons(folder):
    return text(folder, "mine.csv", "cell;G1;G2\nc1;1;2\n")


@broken("not a readable table")
def csv_that_is_ragged(folder):
    return text(folder, "mine.csv", "cell,G1\nc1,1\nc2,1,2,3,4\n")


@broken("G1")
def csv_with_a_gene_twice(folder):
    return text(folder, "mine.csv", "cell,cell_type,G1,G1\nc1,a,1,2\nc2,b,1,3\n")


@broken("may not be read")
def unreadable_file(folder):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    options = saved(folder, some_cells())
    (folder / "mine.h5ad").chmod(0)
    return options


# matrices


@broken("it has no X")
def x_is_none(folder):
    cells = some_cells()
    return saved(folder, ad.AnnData(obs=cells.obs, var=cells.var))


@broken("0 cells x 6 genes")
def no_cells(folder):
    return saved(folder, some_cells()[:0].copy())


@broken("30 cells x 0 genes")
def no_genes(folder):
    return saved(folder, some_cells()[:, :0].copy())


@broken("nothing but zeros")
def all_zeros(folder):
    return saved(folder, some_cells(np.zeros((30, 6), dtype=np.float32)))


@broken("1 NaN or infinite values")
def nan(folder):
    return saved(folder, with_value(np.nan))


@broken("1 NaN or infinite values")
def infinite(folder):
    return saved(folder, with_value(np.inf))


@broken("negative values (down to -1)")
def negative(folder):
    return saved(folder, with_value(-1))


@broken("scaled or centred")
def scaled(folder):
    x = some_cells().X
    return saved(folder, some_cells((x - x.mean(axis=0)) / x.std(axis=0)))


@broken("neither integer counts nor logged values")
def scaled_but_never_logged(folder):
    return saved(folder, some_cells(some_cells().X * 1234.5))


@broken("neither integer counts nor logged values")
def huge_values(folder):
    return saved(folder, some_cells(some_cells().X.astype(np.float64) * 1e299 + 0.5))


@broken("counts up to 1e+12")
def huge_counts(folder):
    return saved(folder, some_cells(whole(1e12)))


def whole(value: float) -> np.ndarray:
    """Counts of which one is this."""
    x = some_cells().X.astype(np.float64)
    x[0, 0] = value
    return x


@broken("holds complex128 values")
def complex_values(folder):
    return saved(folder, some_cells(some_cells().X.astype(np.complex128)))


@broken("holds text")
def text_values(folder):
    def swap(file):
        del file["X"]
        file["X"] = np.full((30, 6), b"many")
        file["X"].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})

    return edited(folder, swap)


@broken("holds bool values")
def boolean_values(folder):
    return saved(folder, some_cells(some_cells().X > 1))


@broken("layers['counts'] holds values that are not integers")
def counts_with_fractions(folder):
    cells = some_cells()
    cells.layers["counts"] = np.log1p(cells.X)
    return saved(folder, cells)


@broken("layers['counts'] holds negative values")
def counts_below_zero(folder):
    cells = some_cells()
    cells.layers["counts"] = cells.X - 5
    return saved(folder, cells)


@broken("layers['counts'] holds nothing but zeros")
def counts_of_nothing(folder):
    cells = some_cells()
    cells.layers["counts"] = np.zeros((30, 6), dtype=np.float32)
    return saved(folder, cells)


@broken("adata.raw.to_adata()")
def scaled_with_a_raw_of_other_genes(folder):
    cells = some_cells()
    cells.raw = cells
    cells = cells[:, :4].copy()
    cells.X = cells.X - 1.5
    return saved(folder, cells)


@broken("library_size")
def library_smaller_than_its_counts(folder):
    return saved(folder, some_cells(library_size=np.log1p(np.arange(30.0))))


@broken("1 gene names occur more than once (such as GENE1)")
def duplicated_genes(folder):
    cells = some_cells()
    cells.var_names = [f"GENE{i}" for i in (0, 1, 1, 2, 3, 4)]
    return saved(folder, cells)


# metadata


@broken("did you mean 'major_type'")
def missing_label_key(folder):
    return [*saved(folder, some_cells(major_type="a")), "--label-key", "major_typ"]


@broken("for --batch-key")
def missing_batch_key(folder):
    return [*saved(folder, some_cells()), "--batch-key", "plate"]


@broken("there are: louvain")
def clusters_are_no_labels(folder):
    return saved(folder, some_cells(cell_type=None, louvain=["0", "1"] * 15))


@broken("obs['celltype'] or obs['CellType']")
def two_label_columns(folder):
    types = ["a", "b"] * 15
    return saved(folder, some_cells(cell_type=None, celltype=types, CellType=types[::-1]))


@broken("60 different numbers")
def numbers_for_labels(folder):
    cells = ad.concat([some_cells(), some_cells()], index_unique="-")
    cells.obs["cell_type"] = np.linspace(0, 1, 60)
    return saved(folder, cells)


@broken("60 different values for 60 cells")
def names_for_labels(folder):
    cells = ad.concat([some_cells(), some_cells()], index_unique="-")
    cells.obs["cell_type"] = [f"barcode {i}" for i in range(60)]
    return saved(folder, cells)


@broken("no cell has a usable label")
def all_labels_missing(folder):
    return saved(folder, some_cells(cell_type=pd.Categorical([None] * 30, ["a", "b"])))


@broken("no cell has a usable label")
def all_types_too_small(folder):
    return [*saved(folder, some_cells()), "--min-cells", "20"]


@broken("nothing to tell apart")
def one_class(folder):
    return saved(folder, some_cells(cell_type="a"))


@broken("too few cells of 'rare' (1)")
def tiny_class(folder):
    return saved(folder, some_cells(cell_type=["a", "b"] * 14 + ["a", "rare"]))


@broken("2 cells have no batch")
def batches_missing(folder):
    return [
        *saved(folder, some_cells(plate=["p1", "p2"] * 14 + [None, None])),
        "--batch-key",
        "plate",
    ]


@broken("names none of the cells")
def labels_of_other_cells(folder):
    (folder / "labels.csv").write_text("cell,cell_type\nX1,a\nX2,b\n")
    return [*saved(folder, some_cells(cell_type=None)), "--labels", str(folder / "labels.csv")]


@broken("names the cell 'cell1' twice")
def labels_twice(folder):
    (folder / "labels.csv").write_text("cell,cell_type\ncell1,a\ncell1,b\n")
    return [*saved(folder, some_cells(cell_type=None)), "--labels", str(folder / "labels.csv")]


@broken("there is no file")
def labels_nowhere(folder):
    return [*saved(folder, some_cells()), "--labels", str(folder / "labels.csv")]


@broken("describe --data")
def keys_without_data(folder):
    return ["--label-key", "cell_type"]


def one_sentence(errors: str, fragment: str) -> None:
    """Standard error is one line that says who speaks and what is wrong."""
    assert errors.startswith("gauntlet: ")
    assert errors.count("\n") == 1
    assert errors.endswith("\n")
    assert fragment in errors


def nothing_half_written(storage: Path) -> None:
    """No draft, no record, no manifest; a data set prepared whole may stay."""
    left = [path.relative_to(storage).parts for path in storage.rglob("*") if path.is_file()]
    assert not [parts for parts in left if parts[0] != "store" or "drafts" in parts]


@pytest.mark.parametrize("case", CASES)
def test_a_broken_input_is_refused_in_one_sentence(case, tmp_path, monkeypatch, capsys):
    build, fragment = CASES[case]
    inputs, storage = tmp_path / "inputs", tmp_path / "runs"
    inputs.mkdir()
    command = ["gauntlet", "run", "quickstart", "seeds=1", "--storage", str(storage)]
    monkeypatch.setattr(sys, "argv", [*command, *build(inputs)])
    monkeypatch.setattr(driver, "go", lambda *_: pytest.fail("Ray was started"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    one_sentence(capsys.readouterr().err, fragment)
    nothing_half_written(storage)


@pytest.mark.parametrize("case", ["truncated_h5ad", "negative", "missing_label_key"])
def test_the_command_itself_refuses_it(case, tmp_path):
    build, fragment = CASES[case]
    storage = tmp_path / "runs"
    command = [sys.executable, "-m", "orchestrator.cli", "run", "quickstart"]
    ended = subprocess.run(
        [*command, "--storage", str(storage), *build(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 2
    one_sentence(ended.stderr, fragment)
    nothing_half_written(storage)


def test_plan_refuses_a_file_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gauntlet", "plan", "quickstart", *missing_file(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    one_sentence(capsys.readouterr().err, "there is no file")


def test_there_are_forty_broken_inputs_and_more():
    assert len(CASES) >= 40
