"""Table 1: annotation of blood cells with all labels, scBERT beside logistic regression.

The hard CD8 cells are scored apart: test/accuracy_hard and test/f1_hard.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import PRETRAINING, ROWS, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import (
    BLOOD_VARIANTS,
    CD8,
    FINE_TUNED_SEEDS,
    FULL,
    LOGREG,
    SMALL_DATA,
    SMALL_FULL,
    SMALL_LOGREG,
)

ANALYSIS = [
    Comparison("scbert", "logreg", metric="test/accuracy", margin=0.01),
    Comparison("scbert", "logreg", metric="test/macro_f1", margin=0.01),
]
SMALL = Sweep(
    title="Does a small scBERT name blood cells better than logistic regression?",
    task="annotation",
    datasets=SMALL_DATA,
    seeds=range(5),
    models={"scbert": SMALL_FULL, "logreg": SMALL_LOGREG},
    analysis=ANALYSIS,
)
SWEEP = Sweep(
    title="Does scBERT name blood cells better than logistic regression?",
    task="annotation",
    task_params={"protocol": "paper", "hard": CD8},
    datasets=["zheng68k"],
    seeds=FINE_TUNED_SEEDS,
    models={"scbert": FULL, "logreg": LOGREG},
    analysis=ANALYSIS,
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *ROWS],
    variants=BLOOD_VARIANTS,
    small=SMALL,
)
