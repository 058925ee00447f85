"""Does preparing half a million cells stay in bounded memory, and how fast is it?

Ours: `trainables.cells.prepare`, which checks, normalises and writes; and `gauntlet data check`,
which does so and looks at every cell. The peer: anndata reads the whole file and scanpy normalises
it, written nowhere. Each in a process of its own.

    uv run python benchmarks/prepare.py --cells 20000
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from common import folder_mb, generate, peak_mb, show


def ours(path: Path, scratch: Path) -> None:
    """Prepare into a store."""
    from trainables.cells import prepare
    from trainables.store import Store
    from trainables.userdata import UserFile

    prepare(UserFile(path), Store(scratch))


def check(path: Path, scratch: Path) -> None:
    """Prepare, and look at every cell, as `gauntlet data check` does."""
    from orchestrator.data_sources import to_check

    scratch.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(scratch)
    to_check(str(path), (None, None, 0, None, None, None, None), "annotation")


def peer(path: Path, scratch: Path) -> None:
    """Read everything, keep the counts, normalise."""
    import anndata as ad
    import scanpy as sc

    cells = ad.read_h5ad(path)
    cells.layers["counts"] = cells.X.copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)


WAYS = {"ours": ours, "data check": check, "peer": peer}


def alone(way: str, path: Path, scratch: Path) -> dict[str, float]:
    """Seconds and peak memory of one way, in a fresh process."""
    command = [sys.executable, __file__, "--alone", way, str(path), str(scratch)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(scratch, ignore_errors=True)  # a disk for one run is enough
    return json.loads(done.stdout.splitlines()[-1])


def measure(way: str, path: Path, scratch: Path) -> dict[str, float]:
    """The same, from inside that process; imports are paid before."""
    import anndata  # noqa: F401
    import scanpy  # noqa: F401

    import trainables.userdata  # noqa: F401

    small = Path(scratch).with_suffix(".small.h5ad")
    generate(small, 100, 50, 0.1)
    WAYS[way](small, scratch)  # what is compiled or imported late is no part of the work

    before, started = peak_mb(), time.perf_counter()
    WAYS[way](path, scratch)
    return {"seconds": time.perf_counter() - started, "before": before, "peak": peak_mb()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=500_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--density", type=float, default=0.07)
    parser.add_argument("--repeats", type=int, default=1, help="medians over so many runs")
    parser.add_argument("--scratch", type=Path, help="where files go meanwhile")
    parser.add_argument("--alone", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        way, path, scratch = asked.alone
        return print(json.dumps(measure(way, Path(path), Path(scratch))))
    with tempfile.TemporaryDirectory(dir=asked.scratch) as folder:
        path = Path(folder) / "cells.h5ad"
        generate(path, asked.cells, asked.genes, asked.density)
        size = folder_mb(path)
        runs = [
            {way: alone(way, path, Path(folder) / f"{way}-{run}".replace(" ", "-")) for way in WAYS}
            for run in range(asked.repeats)
        ]
    found = {
        way: {key: median(run[way][key] for run in runs) for key in runs[0][way]} for way in WAYS
    }
    rows = [
        [
            way,
            f"{got['seconds']:.1f}",
            f"{size / got['seconds']:.0f}",
            f"{got['peak']:.0f}",
            f"{got['peak'] - got['before']:.0f}",
        ]
        for way, got in found.items()
    ]
    ratios = {key: found["ours"][key] / found["peer"][key] for key in ("seconds", "peak")}
    show(
        f"{asked.cells:,} cells x {asked.genes:,} genes, {size:.0f} MB",
        [
            ["", "seconds", "MB/s", "peak RSS, MB", "of which after imports, MB"],
            *rows,
            ["ratio", f"{ratios['seconds']:.2f}", "", f"{ratios['peak']:.2f}", ""],
        ],
    )


if __name__ == "__main__":
    main()
