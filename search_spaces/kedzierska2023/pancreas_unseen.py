"""Section 2.2: the pancreas without the cells that Geneformer was pretrained on.

The paper calls the scores "highly consistent" with those of all cells and names no study, so the
batches to leave out are asked for. Each batch of this data set is a study of one protocol.
"""

from orchestrator.fidelity import Question
from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import CLUSTERS, UNSEEN, ZERO_SHOT
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    CELLS,
    GENEFORMER,
    SEEDS,
    SMALL_BASELINES,
    SMALL_GENEFORMERS,
)

SEEN = Question(
    "name the batches that Geneformer was pretrained on, as in 'task.without=[\"smartseq2\"]'; they"
    " are among celseq, celseq2, fluidigmc1, indrop, smarter and smartseq2, and the supplement of"
    " Theodoris et al. 2023 lists the studies of the pretraining"
)
SMALL = Sweep(
    title="Do scores of a small Geneformer change when a batch is left out?",
    task="clustering",
    task_params={"without": ["batch 0"]},
    datasets=["toy"],
    seeds=range(3),
    models={**SMALL_BASELINES, **SMALL_GENEFORMERS},
    analysis=[
        Comparison("geneformer+cached", other, metric="avg_bio", margin=0.02)
        for other in ("hvg", "pca")
    ],
)
SWEEP = Sweep(
    title="Does Geneformer owe its scores on the pancreas to cells that it has seen?",
    task="clustering",
    task_params={**CELLS, "without": SEEN},
    datasets=["pancreas_scib"],
    seeds=SEEDS,
    models={**BASELINES, **GENEFORMER},
    analysis=[
        Comparison("geneformer+cached", other, metric=metric, margin=0.02)
        for metric in ("avg_bio", "asw_label")
        for other in BASELINES
    ],
    differences=[*ZERO_SHOT, *CLUSTERS, *UNSEEN],
    small=SMALL,
)
