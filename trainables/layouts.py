"""Published files as their authors laid them out, read as an AnnData."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def damaged(path: Path) -> str:
    """The sentence for an archive that does not open."""
    return f"{path.name} cannot be unpacked: it is damaged or cut short"


@contextlib.contextmanager
def plain_file(path: Path) -> Iterator[Path]:
    """A file as it is, or what a `.gz` or a one-file `.zip` holds, unpacked for the while."""
    if path.suffix not in (".gz", ".zip"):
        yield path
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder) / path.stem
        try:
            with packed(path) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(damaged(path)) from error
        yield plain


@contextlib.contextmanager
def packed(path: Path) -> Iterator[Any]:
    """What is inside a `.gz` or a one-file `.zip`, as a stream."""
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as box:
        inside = [m for m in box.infolist() if m.filename.endswith(".h5ad")]
        if len(inside) != 1:
            raise ValueError(f"{path.name} holds {len(inside)} .h5ad files; it should hold one")
        with box.open(inside[0]) as stream:
            yield stream


def read_h5ad(path: Path) -> Any:
    """An `.h5ad`, `.h5ad.gz` or `.h5ad.zip` as an AnnData, in memory.

    Raises ValueError, naming the file, for what is none.
    """
    import warnings

    import anndata as ad

    with plain_file(path) as plain, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old files' oddities, which are not the reader's
        try:
            return ad.read_h5ad(plain)
        except Exception as error:  # h5py and anndata raise a dozen kinds for broken files
            raise ValueError(
                f"{path.name} is not a readable .h5ad file: it is damaged, cut short or of another"
                " kind"
            ) from error


def read_one(paths: list[Path]) -> Any:
    """The reader of a data set that is one `.h5ad`."""
    return read_h5ad(paths[0])


def read_10x_archive(path: Path) -> Any:
    """Counts of a Cell Ranger 1 or 2 `.tar.gz`: cells x genes, symbols made unique.

    Raises ValueError when the archive lacks one of its three files.
    """
    import anndata as ad
    import pandas as pd
    from scipy import io, sparse

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        parts = {}
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    name = Path(member.name).name
                    packed = archive.extractfile(member) if member.isreg() else None
                    if packed and name in ("matrix.mtx", "genes.tsv", "barcodes.tsv"):
                        parts[name] = Path(folder) / name
                        with packed, parts[name].open("wb") as plain:
                            shutil.copyfileobj(packed, plain, 1 << 20)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise ValueError(damaged(path)) from error
        if len(parts) < 3:
            raise ValueError(f"{path.name} lacks matrix.mtx, genes.tsv or barcodes.tsv")
        genes = pd.read_csv(parts["genes.tsv"], sep="\t", header=None, dtype=str)
        barcodes = pd.read_csv(parts["barcodes.tsv"], sep="\t", header=None, dtype=str)
        counts = sparse.csr_matrix(io.mmread(parts["matrix.mtx"])).T.tocsr().astype("float32")
    var = pd.DataFrame({"ensembl_id": genes[0].to_numpy()}, index=pd.Index(genes[1].to_numpy()))
    obs = pd.DataFrame(index=pd.Index(barcodes[0].to_numpy()))
    var.index = ad.utils.make_index_unique(var.index)
    return ad.AnnData(X=counts, obs=obs, var=var)


def read_train_test(train: Path, test: Path, gene_key: str | None = None) -> Any:
    """Two files of the same genes as one AnnData, marked in `obs["split"]`.

    `gene_key` is the column of `var` that holds the symbols. Raises ValueError when the two have
    other genes, since rows would then be compared that do not belong together.
    """
    import anndata as ad
    import pandas as pd
    from scipy import sparse

    parts, symbols = {}, {}
    for split, path in {"train": train, "test": test}.items():
        cells = read_h5ad(path)
        if gene_key and gene_key not in cells.var:
            raise ValueError(f"{path.name} has no var[{gene_key!r}]")
        names = cells.var[gene_key] if gene_key else cells.var_names
        symbols[split] = [str(name) for name in names]
        obs = pd.DataFrame({k: cells.obs[k].astype(object) for k in cells.obs})
        obs.index = f"{split}-" + cells.obs_names.astype(str)
        obs["split"] = split
        parts[split] = ad.AnnData(X=sparse.csr_matrix(cells.X), obs=obs)
    if symbols["train"] != symbols["test"]:
        same = len(set(symbols["train"]) & set(symbols["test"]))
        raise ValueError(
            f"{train.name} and {test.name} differ in their genes ({same} of"
            f" {len(symbols['train'])} shared), so they are no pair"
        )
    joined = ad.concat(list(parts.values()), join="inner")
    joined.var_names = symbols["train"]
    joined.var_names_make_unique()
    joined.obs["split"] = pd.Categorical(joined.obs["split"], categories=["train", "test"])
    return joined


def natural_log(cells: Any, base: float) -> Any:
    """Cells whose X is a log1p to another base, with X as the natural log1p.

    scanpy writes the base down in `uns["log1p"]`; `base` is the one to take where it did not.
    """
    import numpy as np

    stated = cells.uns.get("log1p", {})
    found = stated.get("base") if isinstance(stated, dict) else None
    cells.X = cells.X * np.float32(np.log(float(found if found is not None else base)))
    return cells


def counts_from_layer(cells: Any, layer: str) -> Any:
    """Cells with a layer's raw counts as X, or with X as it is where there are none.

    A layer whose values are no whole numbers, as after a correction for length or background, is
    noted and left out: it would pass for counts.
    """
    import numpy as np

    if layer not in cells.layers:
        cells.uns["notes"] = [f"the file has no layers[{layer!r}], so X is used as it is"]
        return cells
    counts = cells.layers[layer]
    values = counts.data if hasattr(counts, "indptr") else np.asarray(counts)
    fractional = float(np.mean(values != np.round(values)))
    if fractional:
        share = f"{fractional:.1%} of its values are fractions"
        cells.uns["notes"] = [f"layers[{layer!r}] holds no counts ({share}), so X is used as it is"]
    else:
        cells.X = counts
        cells.uns["notes"] = [f"X: raw counts, from layers[{layer!r}]"]
    for name in list(cells.layers):
        del cells.layers[name]
    return cells
