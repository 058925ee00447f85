"""Supplementary Table 5: scGPT without its pretraining, with parts of it frozen and without.

"frozen" is what the authors' code freezes, the embeddings of genes and values; "head_only" is what
their text says, all but the decoder. Their runs from scratch reach 7 % on MS, which
may measure a failure to train: `scgpt/scratch.lr=...` tries other learning rates.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import FROZEN, SCGPT
from search_spaces.boiarsky2023._scgpt import (
    DATASETS,
    OWN,
    PAPER,
    SEEDS,
    SMALL_DATA,
    SMALL_FINE_TUNED,
    SMALL_SCRATCH,
)

ANALYSIS = [
    Comparison("scgpt", "scgpt/scratch", metric="test/accuracy", margin=0.01),
    Comparison("scgpt", "scgpt/scratch_frozen", metric="test/accuracy", margin=0.01),
    Comparison("scgpt/scratch_frozen", "scgpt/scratch", metric="test/accuracy", margin=0.01),
    Comparison("scgpt", "logreg", metric="test/accuracy", margin=0.01),
]
# all tokens of the authors' network, of which the cells have some: 51,342,358 parameters on myeloid
SCRATCH = {"weights": "none", "vocabulary": "human", "epochs": 30}
SMALL = Sweep(
    title="What does a small scGPT owe to its pretraining?",
    task="annotation",
    datasets=SMALL_DATA,
    seeds=range(3),
    models={
        "scgpt": {"weights": OWN, **SMALL_FINE_TUNED},
        "scgpt/scratch": SMALL_SCRATCH,
        "scgpt/scratch_frozen": {**SMALL_SCRATCH, "freeze": "embeddings"},
        "scgpt/scratch_head_only": {**SMALL_SCRATCH, "freeze": "all_but_decoder"},
        "logreg": {"C": 1.0},
    },
    analysis=ANALYSIS,
)
SWEEP = Sweep(
    title="What does scGPT owe to its pretraining?",
    task="annotation",
    task_params=PAPER,
    datasets=DATASETS,
    seeds=SEEDS,
    models={
        "scgpt": {},
        "scgpt/scratch": SCRATCH,
        "scgpt/scratch_frozen": {**SCRATCH, "freeze": "embeddings"},
        "scgpt/scratch_head_only": {**SCRATCH, "freeze": "all_but_decoder"},
        "logreg": {},
    },
    analysis=ANALYSIS,
    differences=[*SCGPT, *FROZEN],
    small=SMALL,
)
