"""Figure 5: learning curves of scBERT over seeds, at a batch size of 32.

The same trials as those of Table 1 and of Figure 4 at 32: what is done there is not done again.
Each trial reports valid/accuracy and valid/macro_f1 after each epoch; `analysis.sensitivity` reads
these.
"""

from orchestrator.sweep import Sweep
from search_spaces.boiarsky2023._differences import BATCH_SIZES, PRETRAINING, SCBERT, STARTED_FROM
from search_spaces.boiarsky2023._scbert import (
    BLOOD_VARIANTS,
    FINE_TUNED_SEEDS,
    FULL,
    SMALL_DATA,
    SMALL_FULL,
)

SMALL = Sweep(
    title="How does a small scBERT learn, seed by seed?",
    task="annotation",
    datasets=SMALL_DATA,
    seeds=range(10),
    models={"scbert": SMALL_FULL},
)
SWEEP = Sweep(
    title="How does scBERT learn, seed by seed?",
    task="annotation",
    task_params={"protocol": "paper"},
    datasets=["zheng68k"],
    seeds=FINE_TUNED_SEEDS,
    models={"scbert": FULL},
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *BATCH_SIZES],
    variants=BLOOD_VARIANTS,
    small=SMALL,
)
