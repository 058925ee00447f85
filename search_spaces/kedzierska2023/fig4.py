"""Figure 4: the pancreas as each representation lays it out, coloured by type and by batch.

"pca" stands for the paper's panel of all genes, which scanpy lays out by their components.
"""

from orchestrator.sweep import Sweep
from search_spaces.kedzierska2023._differences import PANELS, ZERO_SHOT
from search_spaces.kedzierska2023._shared import (
    BASELINES,
    CELLS,
    GENEFORMER,
    SMALL_MODELS,
    embedding,
)

SMALL = Sweep(
    title="How do cells lie in each representation?",
    task="clustering",
    task_params={"umap": True},
    datasets=["pbmc68k_reduced"],
    seeds=[0],
    models=SMALL_MODELS,
)
SWEEP = Sweep(
    title="How do the pancreas's cells lie in each representation?",
    task="clustering",
    task_params={**CELLS, "umap": True},
    datasets=["pancreas_scib"],
    seeds=[0],
    models={"pca": {}, **BASELINES, "scgpt+cached": embedding(weights="human"), **GENEFORMER},
    differences=[*ZERO_SHOT, *PANELS],
    small=SMALL,
)
