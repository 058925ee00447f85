"""Figure 5: do batches mix in scGPT's embedding, beside HVG's and scVI's?

The four data sets with several batches; scVI is told the batches.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    SEEDS,
    SEVERAL_BATCHES,
    SMALL_BASELINES,
    SMALL_EMBEDDERS,
    embedding,
)

SMALL = Sweep(
    title="Do batches mix in a small scGPT's embedding?",
    task="integration",
    datasets=["toy"],
    seeds=range(3),
    models={**SMALL_BASELINES, **SMALL_EMBEDDERS},
    analysis=[
        Comparison("scgpt+cached", other, metric="asw_label_batch", margin=0.02)
        for other in ("hvg", "pca", "scgpt+cached/random")
    ],
)
SWEEP = Sweep(
    title="Do batches mix in scGPT's embedding?",
    task="integration",
    datasets=SEVERAL_BATCHES,
    seeds=SEEDS,
    models={**BASELINES, "scgpt+cached": embedding("human")},
    analysis=[
        Comparison("scgpt+cached", other, metric="asw_label_batch", margin=0.02)
        for other in BASELINES
    ],
    small=SMALL,
)
