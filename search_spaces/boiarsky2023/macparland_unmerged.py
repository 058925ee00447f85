"""Nature Machine Intelligence 2024: liver cells with all labels, six hepatocyte clusters apart."""

from orchestrator.sweep import Sweep
from search_spaces.boiarsky2023._differences import LIVER, PRETRAINING, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import BLOOD_VARIANTS, FULL
from search_spaces.boiarsky2023.macparland import ANALYSIS, LOGREG, SMALL

SWEEP = Sweep(
    title="Does scBERT tell clusters of hepatocytes apart better than logistic regression?",
    task="annotation",
    task_params={"protocol": "paper"},
    datasets=["macparland_scbert_20"],
    seeds=range(5),
    models={"scbert": FULL, "logreg": {**LOGREG, "Cs": [10.0, 100.0, 1e3, 1e4]}},
    analysis=ANALYSIS,
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *LIVER],
    variants=BLOOD_VARIANTS,
    small=SMALL,
)
