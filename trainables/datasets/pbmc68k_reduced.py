"""700 FACS-labelled blood cells of Zheng et al. 2017, as scanpy ships them, with their counts."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from trainables.intake.decision import IntakeOptions
from trainables.store import file_sha256


@dataclass(frozen=True)
class PBMC68kReduced:
    """The file holds log1p of values scaled to 1e4 per cell, rounded to three decimals, in `.raw`.

    Raw counts come back as round(expm1(x) * n_counts / 1e4): everywhere within 0.12 of a whole
    number, because `obs["n_counts"]` is the library size before genes were left out.
    """

    name: str = "pbmc68k_reduced"
    sha256: str = "e71d41e737c941559b7c57c9243bdb3d2c889c2adfdf00e3422ac6b46783676f"
    summary: str = "700 blood cells x 765 genes, 10 FACS-sorted types (Zheng et al. 2017)"
    citation: str = "Zheng et al. 2017, Nature Communications, doi:10.1038/ncomms14049"
    licence: str = "BSD-3-Clause (scanpy); cells CC BY 4.0 (10x Genomics)"

    @property
    def options(self) -> IntakeOptions:
        """The library is that of all genes, of which the file has 765."""
        return IntakeOptions(library_size="library_size")

    def read(self) -> ad.AnnData:
        """Counts as X, with the ten `bulk_labels` as `cell_type` and the full library size.

        Raises LookupError without scanpy and ValueError when its file is not the expected one.
        """
        path = shipped_file()
        if (found := file_sha256(path)) != self.sha256:
            raise ValueError(
                f"{path.name} has sha256 {found[:12]}, expected {self.sha256[:12]}:"
                " this scanpy ships other cells; install scanpy >=1.11,<2"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the file's old neighbour graph, which nobody reads
            shipped: Any = ad.read_h5ad(path)
        sizes = shipped.obs["n_counts"].to_numpy(dtype=float)
        obs = pd.DataFrame(
            {"cell_type": shipped.obs["bulk_labels"], "library_size": sizes},
            index=shipped.obs_names,
        )
        counts = recovered_counts(sparse.csr_matrix(shipped.raw.X), sizes)
        return ad.AnnData(X=counts, obs=obs, var=pd.DataFrame(index=shipped.raw.var_names))


def shipped_file() -> Path:
    """The file inside the installed scanpy, found without importing scanpy."""
    spec = importlib.util.find_spec("scanpy")
    if spec is None or spec.origin is None:
        raise LookupError("pbmc68k_reduced comes with scanpy, which is not installed")
    return Path(spec.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"


def recovered_counts(logged: sparse.csr_matrix, sizes: np.ndarray) -> sparse.csr_matrix:
    """Undo log1p(counts / sizes x 1e4) and round away the file's three decimals."""
    counts = logged.astype(np.float64)
    counts.data = np.round(np.expm1(counts.data) * np.repeat(sizes, np.diff(counts.indptr)) / 1e4)
    return counts.astype(np.float32)


DATASET = PBMC68kReduced()
