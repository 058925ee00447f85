"""Figure 3: does scGPT's embedding get better with more, or with nearer, cells to pretrain on?

"random" is a fresh network with the authors' vocabulary, another for each seed; the paper has one.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.kedzierska2023._differences import CLUSTERS, ZERO_SHOT
from search_spaces.kedzierska2023._shared import (
    CELLS,
    DATASETS,
    RANDOM,
    SEEDS,
    SMALL_EMBEDDERS,
    embedding,
)

ARMS = ("kidney", "blood", "human")
SMALL = Sweep(
    title="Does pretraining make a small scGPT's embedding any better?",
    task="clustering",
    datasets=["pbmc68k_reduced"],
    seeds=range(3),
    models=SMALL_EMBEDDERS,
    analysis=[Comparison("scgpt+cached", "scgpt+cached/random", metric="avg_bio", margin=0.02)],
)
SWEEP = Sweep(
    title="Does pretraining, and on what, make scGPT's embedding any better?",
    task="clustering",
    task_params=CELLS,
    datasets=DATASETS,
    seeds=SEEDS,
    models={
        "scgpt+cached/random": embedding(**RANDOM),
        **{f"scgpt+cached/{name}": embedding(weights=name) for name in ARMS},
    },
    analysis=[
        Comparison(f"scgpt+cached/{name}", "scgpt+cached/random", metric="avg_bio", margin=0.02)
        for name in ARMS
    ],
    differences=[*ZERO_SHOT, *CLUSTERS],
    small=SMALL,
)
