"""Our clustering and integration metrics beside scib's own: CPU seconds, ratio, and equal values.

    uv run python benchmarks/metrics.py --sizes 5000 20000
    uv run python benchmarks/metrics.py --memory 100000 512      # ours alone: peak memory

scib is no dependency of ours (it brings GPL packages): without it the peer's columns stay empty.
To fill them, in an environment of its own: uv run --isolated --with scib --with louvain
--with 'setuptools<80' --with 'pynndescent<0.6' python benchmarks/metrics.py (louvain imports
pkg_resources; scanpy 1.11 cannot read pynndescent 0.7's neighbours, which scipy 1.17 makes arrays).
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from trainables.metrics import clustering, integration
from trainables.metrics.space import Space, scib_clustering
from trainables.seeds import stream

Step = tuple[str, Callable[[], dict[str, float]]]


def cells(n: int, dims: int, types: int = 12, batches: int = 4) -> Space:
    """Generated coordinates: types, batches that shift a little, and noise in all dimensions."""
    rng = stream(0, "benchmark cells")
    label, batch = rng.choice(types, n, p=shares(types)), rng.integers(batches, size=n)
    points = rng.normal(size=(n, dims)).astype(np.float32)
    points += (rng.normal(size=(types, dims)) * 0.8)[label]
    points += (rng.normal(size=(batches, dims)) * 0.3)[batch]
    return Space(points, label.astype(str), batch.astype(str))


def shares(types: int) -> np.ndarray:
    """Types of unequal size."""
    sizes = np.arange(types, 0, -1.0)
    return sizes / sizes.sum()


def ours(space: Space) -> Iterator[Step]:
    """Our steps, in the order in which a task takes them."""

    def silhouettes() -> dict[str, float]:
        widths = space.silhouettes
        return {
            "asw_label": clustering.asw(widths.label),
            "asw_batch": clustering.asw(widths.batch),
            "asw_label_batch": integration.mean_over_types(widths.within, space.labels),
        }

    def neighbours() -> dict[str, float]:
        return {"edges": space.neighbours.graph.nnz}

    def louvain() -> dict[str, float]:
        found = scib_clustering(space, "louvain", guided=True)
        return {name: found[name] for name in ("nmi", "ari")}

    yield "silhouettes", silhouettes
    yield "neighbours", neighbours
    yield "louvain", louvain
    yield (
        "graph_connectivity",
        lambda: {
            "graph_connectivity": integration.graph_connectivity(
                space.neighbours.graph, space.labels
            )
        },
    )
    yield "pcr", lambda: {"pcr": integration.pcr(space.embedding, space.batches)}


def theirs(space: Space) -> Iterator[Step]:
    """The same by scib, on one AnnData; Louvain as scib 1.0.4's `opt_louvain` runs it."""
    import anndata as ad
    import scanpy as sc
    import scib  # pyright: ignore[reportMissingImports]

    adata: Any = ad.AnnData(X=space.embedding.copy())
    adata.obsm["X_emb"] = space.embedding
    for key, values in (("cell_type", space.labels), ("batch", space.batches)):
        adata.obs[key] = values
        adata.obs[key] = adata.obs[key].astype("category")
    me = scib.me

    def silhouettes() -> dict[str, float]:
        within = me.silhouette_batch(adata, "batch", "cell_type", "X_emb", verbose=False)
        return {
            "asw_label": me.silhouette(adata, "cell_type", "X_emb"),
            "asw_batch": me.silhouette(adata, "batch", "X_emb"),
            "asw_label_batch": within,
        }

    def neighbours() -> dict[str, float]:
        sc.pp.neighbors(adata, use_rep="X_emb")
        return {"edges": adata.obsp["connectivities"].nnz}

    def louvain() -> dict[str, float]:
        best = {"nmi": 0.0, "ari": 0.0}
        for resolution in clustering.RESOLUTIONS:
            sc.tl.louvain(adata, resolution=resolution, key_added="clusters")
            nmi = me.nmi(adata, "cell_type", "clusters")
            if nmi > best["nmi"]:
                best = {"nmi": nmi, "ari": me.ari(adata, "cell_type", "clusters")}
        return best

    yield "silhouettes", silhouettes
    yield "neighbours", neighbours
    yield "louvain", louvain
    yield (
        "graph_connectivity",
        lambda: {"graph_connectivity": me.graph_connectivity(adata, "cell_type")},
    )
    yield "pcr", lambda: {"pcr": me.pcr(adata, covariate="batch", embed="X_emb", n_comps=50)}


def timed(steps: Iterator[Step]) -> tuple[dict[str, float], dict[str, float]]:
    """CPU seconds by step, and all values."""
    seconds, values = {}, {}
    for name, step in steps:
        started = time.process_time()  # CPU seconds: others' work on the machine counts less
        values |= step()
        seconds[name] = time.process_time() - started
    return seconds, values


def compare(n: int, dims: int, with_peer: bool) -> None:
    """One size: a line per step, then the values that are not equal to four digits."""
    space = cells(n, dims)
    mine, found = timed(ours(space))
    peer, expected = timed(theirs(space)) if with_peer else ({}, {})
    print(f"\n{n:,} cells x {dims}\n{'step':20}{'ours s':>10}{'scib s':>10}{'ratio':>8}")
    totals = {"total": sum(mine.values())}, {"total": sum(peer.values())} if peer else {}
    for name, seconds in {**mine, **totals[0]}.items():
        other = {**peer, **totals[1]}.get(name)
        ending = f"{other:10.2f}{other / seconds:8.1f}" if other else f"{'-':>10}{'-':>8}"
        print(f"{name:20}{seconds:10.2f}{ending}")
    for name, value in found.items():
        if name in expected:
            print(f"{name:20}{value:14.6f}{expected[name]:14.6f}{value - expected[name]:12.1e}")


def memory(n: int, dims: int) -> None:
    """What our silhouettes and neighbours of one embedding need."""
    space = cells(n, dims)
    before = peak_mb()
    started = time.perf_counter()
    _ = space.silhouettes
    middle = time.perf_counter()
    _ = space.neighbours.graph
    ended = time.perf_counter()
    print(
        f"{n:,} cells x {dims}: peak {peak_mb():,.0f} MB ({before:,.0f} MB with the cells alone);"
        f" silhouettes {middle - started:.0f} s, neighbours and graph {ended - middle:.0f} s"
    )


def peak_mb() -> float:
    """The peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def has_peer() -> bool:
    """Whether scib and its Louvain can be imported; says so when not."""
    try:
        import louvain  # noqa: F401  # pyright: ignore[reportMissingImports]
        import scib  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as missing:
        print(f"scib is not measured: {missing}")
        return False
    packages = ("scib", "scanpy", "louvain", "scikit-learn")
    print(", ".join(f"{package} {version(package)}" for package in packages))
    return True


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5_000, 20_000, 50_000])
    parser.add_argument("--dims", type=int, default=50)
    parser.add_argument("--memory", type=int, nargs=2, metavar=("CELLS", "DIMS"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.memory:
        return memory(*options.memory)
    with_peer = has_peer()
    timed(ours(cells(500, 10)))  # imports and compilation are not what is measured
    if with_peer:
        timed(theirs(cells(5000, 10)))
    for n in options.sizes:
        compare(n, options.dims, with_peer)


if __name__ == "__main__":
    main()
