"""Figure 2: annotation of blood cells with fewer and fewer labels.

scBERT and logistic regression train on the subsets that the authors drew for each.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import FEW_SHOT, PRETRAINING, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import (
    BLOOD_VARIANTS,
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
    title="How many labels does a small scBERT need, beside logistic regression?",
    task="annotation",
    datasets=SMALL_DATA,
    fractions=[0.25, 0.5, 1.0],
    seeds=range(3),
    models={"scbert": SMALL_FULL, "logreg": SMALL_LOGREG},
    analysis=ANALYSIS,
)
SWEEP = Sweep(
    title="How many labels does scBERT need, beside logistic regression?",
    task="annotation",
    task_params={"protocol": "paper"},
    datasets=["zheng68k"],
    fractions=[0.1, 0.25, 0.5, 0.75, 1.0],
    seeds=range(3),
    models={"scbert": FULL, "logreg": LOGREG},
    analysis=ANALYSIS,
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *FEW_SHOT],
    variants=BLOOD_VARIANTS,
    small=SMALL,
)
