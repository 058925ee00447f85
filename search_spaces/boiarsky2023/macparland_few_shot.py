"""Nature Machine Intelligence 2024: annotation of liver cells with fewer and fewer labels."""

from orchestrator.sweep import Sweep
from search_spaces.boiarsky2023._differences import LIVER, PRETRAINING, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import BLOOD_VARIANTS, FULL
from search_spaces.boiarsky2023.fig2 import SMALL
from search_spaces.boiarsky2023.macparland import ANALYSIS, LOGREG

SWEEP = Sweep(
    title="How many labels of liver cells does scBERT need, beside logistic regression?",
    task="annotation",
    task_params={"protocol": "paper"},
    datasets=["macparland_scbert"],
    fractions=[0.1, 0.25, 0.5, 0.75],
    seeds=range(3),
    models={"scbert": FULL, "logreg": {**LOGREG, "Cs": [1.0, 10.0, 100.0, 1e3, 1e4]}},
    analysis=ANALYSIS,
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *LIVER],
    variants=BLOOD_VARIANTS,
    small=SMALL,
)
