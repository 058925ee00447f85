"""Nature Machine Intelligence 2024: annotation of liver cells with all labels.

Six clusters of hepatocytes are one type. The authors' files have logistic regression only; scBERT
is fine-tuned here as on blood cells.
"""

from dataclasses import replace

from orchestrator.sweep import Sweep
from search_spaces.boiarsky2023._differences import LIVER, PRETRAINING, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import BLOOD_VARIANTS, FULL
from search_spaces.boiarsky2023.table1 import ANALYSIS
from search_spaces.boiarsky2023.table1 import SMALL as SMALL_TABLE1

LOGREG = {"logarithm": "log2"}
SMALL = replace(
    SMALL_TABLE1,
    title="Does a small scBERT name cells better than logistic regression?",
    seeds=range(3),
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
