"""Figure 4: fine-tuning of scBERT over batch sizes and seeds.

The learning rate is the same at each and follows epochs, so that a batch size also decides how
many steps are taken at each rate, and how often random features are redrawn. The paper names the
sizes 8 and 32 only; `analysis.sensitivity` says how far seeds scatter and whether in two groups.
"""

from orchestrator.fidelity import Variant
from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import (
    BATCH_SIZES,
    OWN,
    PRETRAINING,
    SCBERT,
    STARTED_FROM,
)
from search_spaces.boiarsky2023._scbert import (
    FINE_TUNED_SEEDS,
    FULL,
    OWN_FULL,
    SMALL_DATA,
    SMALL_FULL,
)


def arms(settings, sizes):
    """An arm a batch size."""
    return {f"scbert/batch_{size}": {**settings, "batch": size} for size in sizes}


SMALL = Sweep(
    title="How much do batch size and seed move a small scBERT?",
    task="annotation",
    datasets=SMALL_DATA,
    seeds=range(4),
    models=arms(SMALL_FULL, [8, 32, 128]),
    analysis=[Comparison("scbert/batch_8", "scbert/batch_32", metric="test/accuracy", margin=0.01)],
)
SWEEP = Sweep(
    title="How much do batch size and seed move scBERT?",
    task="annotation",
    task_params={"protocol": "paper"},
    datasets=["zheng68k"],
    seeds=FINE_TUNED_SEEDS,
    models=arms(FULL, [8, 16, 32, 64, 128]),
    analysis=[Comparison("scbert/batch_8", "scbert/batch_32", metric="test/accuracy", margin=0.01)],
    differences=[STARTED_FROM, *PRETRAINING, *SCBERT, *BATCH_SIZES],
    variants={
        arm.replace("scbert", OWN): Variant(arm, params)
        for arm, params in arms(OWN_FULL, [8, 16, 32, 64, 128]).items()
    },
    small=SMALL,
)
