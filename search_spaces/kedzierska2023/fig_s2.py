"""Figure S2: the scores of figures 2 and 5 in fewer dimensions.

Embeddings have from 30 to 2,000 dimensions, and silhouettes shrink as dimensions grow. The paper
says neither how it reduced them nor to how many: here to 30 principal components, which is all that
scVI has. `task.n_components=50` takes others.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import CLUSTERS, REDUCED, ZERO_SHOT
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    CELLS,
    DATASETS,
    GENEFORMER,
    SEEDS,
    SMALL_BASELINES,
    SMALL_EMBEDDERS,
    SMALL_GENEFORMERS,
    embedding,
)

SMALL = Sweep(
    title="Do small foundation models keep cell types together in ten dimensions?",
    task="clustering",
    task_params={"n_components": 10},
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models={**SMALL_BASELINES, **SMALL_EMBEDDERS, **SMALL_GENEFORMERS},
    analysis=[
        Comparison(f"{model}+cached", other, metric="avg_bio", margin=0.02)
        for model in ("scgpt", "geneformer")
        for other in ("hvg", "pca")
    ],
)
SWEEP = Sweep(
    title="Do foundation models keep cell types together when all have as few dimensions?",
    task="clustering",
    task_params={**CELLS, "n_components": 30},
    datasets=DATASETS,
    seeds=SEEDS,
    models={**BASELINES, "scgpt+cached": embedding(weights="human"), **GENEFORMER},
    analysis=[
        Comparison(f"{model}+cached", other, metric=metric, margin=0.02)
        for model in ("scgpt", "geneformer")
        for metric in ("avg_bio", "asw_label")
        for other in BASELINES
    ],
    differences=[*ZERO_SHOT, *CLUSTERS, *REDUCED],
    small=SMALL,
)
