"""Figure S2: the scores of figures 2 and 5 in fewer dimensions.

Embeddings have from 30 to 2,000 dimensions, and silhouettes shrink as dimensions grow. The paper
says neither how it reduced them nor to how many: here to 30 principal components, which is all that
scVI has. `task.n_components=50` takes others.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import CLUSTERS, REDUCED, ZERO_SHOT
from search_spaces.kedzierska2023._shared import CELLS, DATASETS, MODELS, SEEDS, SMALL_MODELS
from search_spaces.kedzierska2023.fig2 import ANALYSIS

SMALL = Sweep(
    title="Do small foundation models keep cell types together in ten dimensions?",
    task="clustering",
    task_params={"n_components": 10},
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models=SMALL_MODELS,
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
    models=MODELS,
    analysis=ANALYSIS,
    differences=[*ZERO_SHOT, *CLUSTERS, *REDUCED],
    small=SMALL,
)
