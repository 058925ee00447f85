"""Table 2: what scBERT owes to its pretraining, and to its gene2vec positions.

"No pretraining" keeps gene2vec and freezes random blocks, as the authors' does. No weights of the
authors are published: those with and those without gene2vec are pretrained here, with the same 17
epochs, where the authors' files name 6 without. `arms=scbert/published_weights` adds scBERT's own
checkpoint; a comparison with it says that the two pretrainings are of unequal origin.
"""

from orchestrator.fidelity import Variant
from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import (
    ABLATIONS,
    PRETRAINING,
    PUBLISHED,
    SCBERT,
    STARTED_FROM_OWN,
    WITHOUT_GENE2VEC,
)
from search_spaces.boiarsky2023._scbert import (
    ABLATION_SEEDS,
    CD8,
    FULL,
    LOGREG,
    NO_GENE2VEC,
    NO_PRETRAINING,
    OWN_FULL,
    SMALL_DATA,
    SMALL_FULL,
    SMALL_LOGREG,
    SMALL_NO_GENE2VEC,
    SMALL_NO_PRETRAINING,
)

ANALYSIS = [
    Comparison("scbert", "scbert/no_pretraining", metric="test/accuracy", margin=0.01),
    Comparison("scbert", "scbert/no_gene2vec", metric="test/accuracy", margin=0.01),
    Comparison("scbert", "logreg", metric="test/accuracy", margin=0.01),
]
SMALL = Sweep(
    title="What does a small scBERT owe to its pretraining and to positions of genes?",
    task="annotation",
    datasets=SMALL_DATA,
    seeds=range(5),
    models={
        "scbert": SMALL_FULL,
        "scbert/no_pretraining": SMALL_NO_PRETRAINING,
        "scbert/no_gene2vec": SMALL_NO_GENE2VEC,
        "logreg": SMALL_LOGREG,
    },
    analysis=ANALYSIS,
)
SWEEP = Sweep(
    title="What does scBERT owe to its pretraining and to gene2vec?",
    task="annotation",
    task_params={"protocol": "paper", "hard": CD8},
    datasets=["zheng68k"],
    seeds=ABLATION_SEEDS,
    models={
        "scbert": OWN_FULL,
        "scbert/no_pretraining": NO_PRETRAINING,
        "scbert/no_gene2vec": NO_GENE2VEC,
        "logreg": LOGREG,
    },
    analysis=ANALYSIS,
    differences=[STARTED_FROM_OWN, *PRETRAINING, *WITHOUT_GENE2VEC, *SCBERT, *ABLATIONS],
    variants={PUBLISHED: Variant("scbert", FULL)},
    small=SMALL,
)
