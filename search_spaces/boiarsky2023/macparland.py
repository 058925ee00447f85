"""Nature Machine Intelligence 2024: annotation of liver cells with all labels.

Six clusters of hepatocytes are one type. The authors' files have logistic regression only; scBERT
is fine-tuned here as on blood cells.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import LIVER, PRETRAINING, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import (
    BLOOD_VARIANTS,
    FULL,
    SMALL_DATA,
    SMALL_FULL,
    SMALL_LOGREG,
)

ANALYSIS = [
    Comparison("scbert", "logreg", metric="test/accuracy", margin=0.01),
    Comparison("scbert", "logreg", metric="test/macro_f1", margin=0.01),
]
LOGREG = {"logarithm": "log2"}
SMALL = Sweep(
    title="Does a small scBERT name cells better than logistic regression?",
    task="annotation",
    datasets=SMALL_DATA,
    seeds=range(3),
    models={"scbert": SMALL_FULL, "logreg": SMALL_LOGREG},
    analysis=ANALYSIS,
)
SWEEP = Sweep(
    title="Does scBERT name liver cells better than logistic regression?",
    task="annotation",
    task_params={"protocol": "paper"},
    datasets=["macparland_scbert"],
    seeds=range(3),
    models={"scbert": FULL, "logreg": {**LOGREG, "Cs": [10.0, 100.0, 1e3]}},
    analysis=ANALYSIS,
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *LIVER],
    variants=BLOOD_VARIANTS,
    small=SMALL,
)
