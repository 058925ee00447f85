"""An embedding with what is known of its cells, scored by either of two back-ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from trainables.metrics import clustering, integration
from trainables.metrics.neighbours import Neighbours, neighbours
from trainables.metrics.silhouettes import Silhouettes, silhouettes
from trainables.protocols import Metrics

BACKENDS = ("scib", "scib-metrics")
OWN_ALGORITHM = {"scib": "louvain", "scib-metrics": "leiden"}
"""What "auto" means: the algorithm that each back-end clusters with."""


@dataclass(frozen=True, eq=False)
class Space:
    """Coordinates, cell types and batches of the same cells, row by row.

    What several metrics need is computed once and belongs to these coordinates alone: there is no
    place where the neighbours of another embedding could be found.
    """

    embedding: np.ndarray
    labels: np.ndarray
    batches: np.ndarray
    found: dict[tuple[str, float], np.ndarray] = field(default_factory=dict, init=False, repr=False)
    """Clusters by algorithm and resolution, as far as they were asked for."""

    @cached_property
    def neighbours(self) -> Neighbours:
        """The one search for neighbours; LISI, graph and clusters all start from it."""
        return neighbours(self.embedding)

    @cached_property
    def silhouettes(self) -> Silhouettes:
        """The one pass over all distances."""
        return silhouettes(self.embedding, self.labels, self.batches)

    @cached_property
    def label_codes(self) -> np.ndarray:
        """Cell types as numbers, which compare faster than words."""
        return np.unique(self.labels, return_inverse=True)[1]

    def clusters(self, algorithm: str, resolution: float) -> np.ndarray:
        """Cluster numbers on the graph of the neighbours."""
        key = algorithm, resolution
        if key not in self.found:
            self.found[key] = clustering.ALGORITHMS[algorithm](self.neighbours.graph, resolution)
        return self.found[key]


def clustering_scores(space: Space, backend: str, algorithm: str, guided: bool) -> Metrics:
    """asw_label, nmi, ari and their mean avg_bio; see `tasks.clustering`."""
    made = {"scib": scib_clustering, "scib-metrics": scib_metrics_clustering}[backend]
    return made(space, OWN_ALGORITHM[backend] if algorithm == "auto" else algorithm, guided)


def integration_scores(space: Space, backend: str, expression: Any = None) -> Metrics:
    """asw_label_batch and its companions; see `tasks.integration`.

    With the cells' expression (an array or CSR) also `pcr_comparison`, which looks at both.
    """
    made = {"scib": scib_integration, "scib-metrics": scib_metrics_integration}[backend]
    return made(space, expression)


def scib_clustering(space: Space, algorithm: str, guided: bool) -> Metrics:
    """By the definitions of scib 1.0.4."""
    return clustering_of(space, *scib_partitions(space, algorithm, guided))(slice(None))


def scib_partitions(
    space: Space, algorithm: str, guided: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """The clusters to score, and the label-blind ones beside them where labels were looked at."""
    blind = space.clusters(algorithm, clustering.BLIND)
    if not guided:
        return blind, None
    candidates = [space.clusters(algorithm, each) for each in clustering.RESOLUTIONS]
    return clustering.best_clusters(space.label_codes, candidates), blind


def clustering_of(
    space: Space, clusters: np.ndarray, blind: np.ndarray | None
) -> Callable[[Any], Metrics]:
    """The scores as a function of rows, so that they can be resampled."""

    def scored(rows: Any) -> Metrics:
        labels, asw = space.label_codes[rows], clustering.asw(space.silhouettes.label[rows])
        found = avg_bio(
            asw, clustering.nmi(labels, clusters[rows]), clustering.ari(labels, clusters[rows])
        )
        if blind is None:
            return found
        unguided = avg_bio(
            asw, clustering.nmi(labels, blind[rows]), clustering.ari(labels, blind[rows])
        )
        return found | {f"{k}_blind": v for k, v in unguided.items() if k != "asw_label"}

    return scored


def avg_bio(asw_label: float, nmi: float, ari: float) -> Metrics:
    """The three and their mean, AvgBIO (Cui et al. 2024).

    >>> avg_bio(0.5, 1.0, 0.75)
    {'asw_label': 0.5, 'nmi': 1.0, 'ari': 0.75, 'avg_bio': 0.75}
    """
    mean = (asw_label + nmi + ari) / 3
    return {"asw_label": asw_label, "nmi": nmi, "ari": ari, "avg_bio": mean}


def scib_integration(space: Space, expression: Any = None) -> Metrics:
    """By the definitions of scib 1.0.4; LISI on plain neighbours, and no kBET, which is R's."""
    found = {
        **mixing_of(space)(slice(None)),
        "graph_connectivity": integration.graph_connectivity(space.neighbours.graph, space.labels),
        "pcr": integration.pcr(space.embedding, space.batches),
        "ilisi": integration.ilisi(space.neighbours, space.batches),
        "clisi": integration.clisi(space.neighbours, space.labels),
    }
    if expression is not None:
        before = integration.pcr(expression, space.batches)
        found["pcr_comparison"] = integration.pcr_comparison(before, found["pcr"])
    return found


def mixing_of(space: Space) -> Callable[[Any], Metrics]:
    """Batch silhouettes as a function of rows, so that they can be resampled."""

    def scored(rows: Any) -> Metrics:
        widths = space.silhouettes
        return {
            "asw_label_batch": integration.mean_over_types(
                widths.within[rows], space.label_codes[rows]
            ),
            "asw_batch": clustering.asw(widths.batch[rows]),
        }

    return scored


def check_installed(backend: str) -> None:
    """Raise LookupError where a back-end's package is missing; imports nothing."""
    if backend == "scib-metrics" and find_spec("scib_metrics") is None:
        raise LookupError(
            "backend 'scib-metrics' is not installed: uv sync --extra scib-metrics, or"
            " pip install 'sc-gauntlet[scib-metrics]'"
        )


def scib_metrics() -> Any:
    """The package, which takes ten seconds to import; LookupError where it is not installed."""
    check_installed("scib-metrics")
    import scib_metrics  # pyright: ignore[reportMissingImports]

    return scib_metrics


def scib_metrics_clustering(space: Space, algorithm: str, guided: bool) -> Metrics:
    """As the package scib-metrics has it: Leiden, ten resolutions from 0.2 to 2.0 when guided."""
    package = scib_metrics()
    near = as_results(space.neighbours, 15)
    asw = float(package.silhouette_label(space.embedding, space.labels))

    def leiden(**how: Any) -> Metrics:
        found = package.nmi_ari_cluster_labels_leiden(near, space.labels, **how)
        return avg_bio(asw, float(found["nmi"]), float(found["ari"]))

    blind = leiden(optimize_resolution=False, resolution=clustering.BLIND)
    if not guided:
        return blind
    return leiden() | {f"{k}_blind": v for k, v in blind.items() if k != "asw_label"}


def scib_metrics_integration(space: Space, expression: Any = None) -> Metrics:
    """As the package scib-metrics has it, with BRAS and kBET; neighbours as its Benchmarker's."""
    package = scib_metrics()
    embedding, labels, batches = space.embedding, space.labels, space.batches
    near = {n: as_results(space.neighbours, n) for n in (15, 50, 90)}
    found = {
        "asw_label_batch": package.silhouette_batch(embedding, labels, batches),
        "bras": package.metrics.bras(embedding, labels, batches),
        "graph_connectivity": package.graph_connectivity(near[15], labels),
        "kbet": package.kbet_per_label(near[50], batches, labels),
        "ilisi": package.ilisi_knn(near[90], batches),
        "clisi": package.clisi_knn(near[90], labels),
        "pcr": principal_component_regression(embedding, batches),
    }
    if expression is not None:
        before = principal_component_regression(integration.components(expression), batches)
        found["pcr_comparison"] = integration.pcr_comparison(before, found["pcr"])
    return {name: float(value) for name, value in found.items()}


def principal_component_regression(values: np.ndarray, batches: np.ndarray) -> float:
    """scib-metrics' share of variance that batches explain, on at most 50 components."""
    most = min(integration.COMPONENTS, *values.shape)
    regress = scib_metrics().utils.principal_component_regression
    return regress(values, batches, categorical=True, n_components=most)


def as_results(near: Neighbours, n: int) -> Any:
    """Our neighbours in the class that scib-metrics reads."""
    from scib_metrics.nearest_neighbors import NeighborsResults  # pyright: ignore[reportMissingImports]

    few = near.nearest(n)
    return NeighborsResults(few.indices, few.distances)


def provenance(backend: str) -> str:
    """Whose numbers these are, and which version's.

    >>> provenance("scib")
    'definitions of scib 1.0.4'
    """
    if backend == "scib":
        return "definitions of scib 1.0.4"
    try:
        return f"scib-metrics {version('scib-metrics')}"
    except PackageNotFoundError:
        return "scib-metrics (not installed)"


def certified(scores: Metrics, backend: str) -> pd.DataFrame:
    """One row per metric, each with the back-end and the version that it came from."""
    rows = [(name, value, backend, provenance(backend)) for name, value in scores.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "backend", "version"])


def certificate(space: Space, expression: Any = None) -> pd.DataFrame:
    """Both back-ends on one embedding, side by side: metric, one column each, their difference.

    Metrics that only one of them has are left empty in the other's column.
    """
    columns = {
        provenance(backend): clustering_scores(space, backend, "auto", guided=True)
        | integration_scores(space, backend, expression)
        for backend in BACKENDS
    }
    table = pd.DataFrame(columns).rename_axis("metric")
    table["difference"] = table.iloc[:, 1] - table.iloc[:, 0]
    return table.reset_index()


def interval(
    scored: Callable[[Any], Metrics], n_cells: int, rng: np.random.Generator, draws: int = 200
) -> Metrics:
    """`.../ci_low` and `.../ci_high`: the middle 95 % of scores over resampled cells.

    Widths and clusters stay those of the whole sample; only which cells count is drawn anew, so
    this is the uncertainty of having looked at a sample, and not that of clustering.
    """
    drawn = pd.DataFrame([scored(rng.integers(n_cells, size=n_cells)) for _ in range(draws)])
    bounds = {"ci_low": drawn.quantile(0.025), "ci_high": drawn.quantile(0.975)}
    return {
        f"{name}/{end}": float(value)
        for end, values in bounds.items()
        for name, value in values.to_dict().items()
    }
