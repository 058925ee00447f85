"""Figure 3 and Supplementary Table 4: scGPT and logistic regression with fewer and fewer labels.

Both train on the shares that the authors drew, scGPT on nine tenths of each.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import SCGPT
from search_spaces.boiarsky2023._scgpt import (
    DATASETS,
    OWN,
    PAPER,
    SEEDS,
    SMALL_DATA,
    SMALL_FINE_TUNED,
)

ANALYSIS = [
    Comparison("scgpt", "logreg", metric="test/accuracy", margin=0.01),
    Comparison("scgpt", "logreg", metric="test/macro_f1", margin=0.01),
]
SMALL = Sweep(
    title="How many labels does a small scGPT need, beside logistic regression?",
    task="annotation",
    datasets=SMALL_DATA,
    fractions=[0.25, 0.5, 1.0],
    seeds=range(3),
    models={
        "scgpt": {"weights": OWN, **SMALL_FINE_TUNED},
        "logreg": {"C": 1.0},
        "pca+probe": {},
    },
    analysis=[*ANALYSIS, Comparison("scgpt", "pca+probe", metric="test/macro_f1", margin=0.01)],
)
SWEEP = Sweep(
    title="How many labels does scGPT need, beside logistic regression?",
    task="annotation",
    task_params=PAPER,
    datasets=DATASETS,
    fractions=[0.1, 0.25, 0.5, 0.75, 1.0],
    seeds=SEEDS,
    models={"scgpt": {}, "logreg": {}},
    analysis=ANALYSIS,
    differences=SCGPT,
    small=SMALL,
)
