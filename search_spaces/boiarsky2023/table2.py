"""Table 2: what scBERT owes to its pretraining, and to its gene2vec positions.

"No pretraining" keeps gene2vec and freezes random blocks, as the authors' does. The authors'
weights without gene2vec are not published: ours are pretrained with the same 17 epochs as with it,
where the authors' files name 6.
"""

from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._scbert import (
    CD8,
    FULL,
    NO_GENE2VEC,
    NO_PRETRAINING,
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
    seeds=range(10),
    models={
        "scbert": FULL,
        "scbert/no_pretraining": NO_PRETRAINING,
        "scbert/no_gene2vec": NO_GENE2VEC,
        "logreg": {"C": 0.1},
    },
    analysis=ANALYSIS,
    small=SMALL,
)
