"""Figure 5: do batches mix in scGPT's and Geneformer's embeddings, beside HVG's and scVI's?

The four data sets with several batches; scVI is told the batches.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import ZERO_SHOT
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    CELLS,
    MODELS,
    SEEDS,
    SEVERAL_BATCHES,
    SMALL_MODELS,
)

SMALL = Sweep(
    title="Do batches mix in the embeddings of small foundation models?",
    task="integration",
    datasets=["toy"],
    seeds=range(3),
    models=SMALL_MODELS,
    analysis=[
        Comparison(f"{model}+cached", other, metric="asw_label_batch", margin=0.02)
        for model in ("scgpt", "geneformer")
        for other in ("hvg", "pca", f"{model}+cached/random")
    ],
)
SWEEP = Sweep(
    title="Do batches mix in the embeddings of foundation models?",
    task="integration",
    task_params=CELLS,
    datasets=SEVERAL_BATCHES,
    seeds=SEEDS,
    models=MODELS,
    analysis=[
        Comparison(f"{model}+cached", other, metric="asw_label_batch", margin=0.02)
        for model in ("scgpt", "geneformer")
        for other in BASELINES
    ],
    differences=ZERO_SHOT,
    small=SMALL,
)
