"""Figure 2: do cell types lie together in scGPT's embedding, beside HVG's and scVI's?

scVI learns from the very cells, so it is not zero-shot.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    DATASETS,
    SEEDS,
    SMALL_BASELINES,
    SMALL_EMBEDDERS,
    embedding,
)

SMALL = Sweep(
    title="Does a small scGPT's embedding keep cell types together better than baselines do?",
    task="clustering",
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models={**SMALL_BASELINES, **SMALL_EMBEDDERS},
    analysis=[
        Comparison("scgpt+cached", other, metric="avg_bio", margin=0.02)
        for other in ("hvg", "pca", "scgpt+cached/random")
    ],
)
SWEEP = Sweep(
    title="Does scGPT's embedding keep cell types together better than baselines do?",
    task="clustering",
    datasets=DATASETS,
    seeds=SEEDS,
    models={**BASELINES, "scgpt+cached": embedding("human")},
    analysis=[
        Comparison("scgpt+cached", other, metric=metric, margin=0.02)
        for metric in ("avg_bio", "asw_label")
        for other in BASELINES
    ],
    small=SMALL,
)
