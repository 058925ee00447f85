"""Figure 2: do cell types lie together in scGPT's and Geneformer's embeddings, beside others'?

scVI learns from the very cells, so it is not zero-shot.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import CLUSTERS, ZERO_SHOT
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    CELLS,
    DATASETS,
    MODELS,
    SEEDS,
    SMALL_MODELS,
)

ANALYSIS = [
    Comparison(f"{model}+cached", other, metric=metric, margin=0.02)
    for model in ("scgpt", "geneformer")
    for metric in ("avg_bio", "asw_label")
    for other in BASELINES
]
SMALL = Sweep(
    title="Do small foundation models keep cell types together better than baselines do?",
    task="clustering",
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models=SMALL_MODELS,
    analysis=[
        Comparison(f"{model}+cached", other, metric="avg_bio", margin=0.02)
        for model in ("scgpt", "geneformer")
        for other in ("hvg", "pca", f"{model}+cached/random")
    ],
)
SWEEP = Sweep(
    title="Do foundation models keep cell types together better than baselines do?",
    task="clustering",
    task_params=CELLS,
    datasets=DATASETS,
    seeds=SEEDS,
    models=MODELS,
    analysis=ANALYSIS,
    differences=[*ZERO_SHOT, *CLUSTERS],
    small=SMALL,
)
