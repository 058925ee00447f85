"""What benchmarks share: generated cells, how much memory a process has, and a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd


def generate(path: Path, n_cells: int, n_genes: int, density: float, at_once: int = 5000) -> None:
    """An `.h5ad` of counts, written in blocks, so that any number of cells can be had."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs.update(
            {
                "encoding-type": "csr_matrix",
                "encoding-version": "0.1.0",
                "shape": (n_cells, n_genes),
            }
        )
        kinds = {"data": "f4", "indices": "i4"}
        for part, kind in kinds.items():
            group.create_dataset(part, (0,), kind, maxshape=(None,), chunks=(2**18,))
        lengths = [np.zeros(1, dtype=np.int64)]
        for start in range(0, n_cells, at_once):
            size = min(at_once, n_cells - start) * n_genes
            places = np.unique(rng.integers(size, size=int(size * density)))
            values = {"data": rng.geometric(0.5, len(places)), "indices": places % n_genes}
            lengths.append(np.bincount(places // n_genes, minlength=size // n_genes))
            for part, some in values.items():
                held = group[part]
                held.resize(len(held) + len(some), axis=0)
                held[-len(some) :] = some
        group["indptr"] = np.cumsum(np.concatenate(lengths))
        names = {
            "obs": pd.DataFrame(
                {"cell_type": pd.Categorical(rng.choice(list("abcdefgh"), n_cells))},
                index=pd.Index([f"cell-{i}" for i in range(n_cells)]),
            ),
            "var": pd.DataFrame(index=pd.Index([f"GENE{i}" for i in range(n_genes)])),
        }
        for part, frame in names.items():
            ad.io.write_elem(file, part, frame)
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def uss_mb(process: int | str = "self") -> float:
    """Unique resident memory of a process in MB: what ending it would free (Linux only)."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", rollup, re.MULTILINE))) / 1024


def peak_mb() -> float:
    """The most resident memory this process ever had, in MB (Linux only)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1024 if found else float("nan")


def folder_mb(path: Path) -> float:
    """The size of a file, or of all files of a folder, in MB."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 2**20


def show(title: str, rows: Sequence[Sequence[object]]) -> None:
    """A table in Markdown, its first row the header."""
    header, *body = ([str(cell) for cell in row] for row in rows)
    print(f"\n{title}\n")
    for row in (header, ["---"] * len(header), *body):
        print(f"| {' | '.join(row)} |")
