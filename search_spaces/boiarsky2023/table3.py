"""Table 3: masked bins guessed with and without gene2vec, on Panglao's held-out cells and on blood.

Weights are pretrained on Panglao and then only asked (`epochs=0`), on 5 % of the cells of each data
set. "most_common_bin" is the paper's baseline, the commonest bin of each cell; "..._overall" is one
bin for all cells. Section 3.4's claim, that without gene2vec 99.8 % of the cells get their own
commonest bin for all masked genes, is `test/modal_cells`.
"""

from orchestrator.fidelity import Variant
from orchestrator.sweep import Comparison, Sweep
from search_spaces.boiarsky2023._differences import (
    MASKED,
    PRETRAINING,
    PUBLISHED,
    STARTED_FROM_OWN,
    WITHOUT_GENE2VEC,
)
from search_spaces.boiarsky2023._scbert import (
    FIVE_PERCENT,
    GENES,
    SMALL_DATA,
    SMALL_PRETRAINED,
    own_panglao,
)

ANALYSIS = [
    Comparison("scbert", "scbert/no_gene2vec", metric="test/accuracy", margin=0.01),
    Comparison("scbert", "most_common_bin", metric="test/accuracy", margin=0.01),
    Comparison("scbert/no_gene2vec", "most_common_bin", metric="test/accuracy", margin=0.01),
    Comparison("scbert", "most_common_bin_overall", metric="test/accuracy", margin=0.01),
]
ASKED = {"epochs": 0, "stabiliser": "paper", "precision": "float32"}
SMALL = Sweep(
    title="Does a small scBERT guess masked bins better than the commonest bin does?",
    task="pretraining",
    datasets=SMALL_DATA,
    seeds=range(5),
    models={
        "scbert": {"positions": "coexpression", **SMALL_PRETRAINED},
        "scbert/no_gene2vec": {"gene2vec": False, **SMALL_PRETRAINED},
        "most_common_bin": {"n_genes": GENES},
        "most_common_bin_overall": {"n_genes": GENES},
    },
    analysis=ANALYSIS,
)
SWEEP = Sweep(
    title="Does scBERT guess masked bins better than the commonest bin does?",
    task="pretraining",
    task_params=FIVE_PERCENT,
    datasets=["panglao", "zheng68k"],
    seeds=[2021],
    models={
        "scbert": {
            "weights": own_panglao(positions="gene2vec"),
            **ASKED,
        },
        "scbert/no_gene2vec": {
            "weights": own_panglao(gene2vec=False),
            "gene2vec": False,
            **ASKED,
        },
        "most_common_bin": {},
        "most_common_bin_overall": {},
    },
    analysis=ANALYSIS,
    differences=[STARTED_FROM_OWN, *PRETRAINING, *WITHOUT_GENE2VEC, *MASKED],
    variants={PUBLISHED: Variant("scbert", {"weights": "panglao", **ASKED})},
    small=SMALL,
)
