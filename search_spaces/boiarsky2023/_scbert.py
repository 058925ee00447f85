"""What the scBERT sweeps share: the paper's settings, and a size for two cores and minutes."""

from orchestrator.fidelity import Variant
from search_spaces.boiarsky2023._differences import OWN
from search_spaces.spaces import pretrained

# dist_finetune.py and its command line in the authors' README
FINE_TUNED = {
    "epochs": 10,
    "batch": 32,
    "stabiliser": "paper",
    "redraw": 1000,
    "class_weights": "paper",
    "precision": "float32",
    "report_batch": 64,  # collate_final_results_finetune.ipynb, cell 7
}
# collate_final_results_finetune.ipynb, cells 3 to 5; the first list has 5000 for a second 2021
FINE_TUNED_SEEDS = (1000, 2000, 3000, 4000, 2021, 2022, 2023, 0, 4042, 5000)
ABLATION_SEEDS = (1000, 2000, 3000, 4000, 0, 5000, 10000, 2021, 2022, 2023)
# dist_pretrain.py; 17 epochs and batches of 8 from the text. The authors pretrained once
PRETRAINED = {
    "epochs": 17,
    "batch": 8,
    "accumulate": 60,
    "clip": 100.0,
    "stabiliser": "paper",
    "redraw": 1000,
    "precision": "float32",
}


# Table 1 and 2's "hard" cells; the names are those of the authors' annotation of Zheng68K
CD8 = ["CD8+ Cytotoxic T", "CD8+/CD45RA+ Naive Cytotoxic"]


FIVE_PERCENT = {"protocol": "five_percent"}  # the cells of Panglao that the authors held out


def own_panglao(**params):
    """Weights pretrained on Panglao as the authors pretrained theirs; GPU weeks."""
    how = {"weights": "none", **PRETRAINED, **params}
    return pretrained("scbert", dataset="panglao", seed=2021, task_params=FIVE_PERCENT, **how)


FULL = {"weights": "panglao", **FINE_TUNED}
OWN_FULL = {"weights": own_panglao(positions="gene2vec"), **FINE_TUNED}
NO_PRETRAINING = {"weights": "none", "positions": "gene2vec", **FINE_TUNED}  # gene2vec stays
BLOOD_VARIANTS = {OWN: Variant("scbert", OWN_FULL)}
LOGREG = {"C": 0.1, "logarithm": "log2"}
NO_GENE2VEC = {
    "weights": own_panglao(gene2vec=False),
    "gene2vec": False,
    **FINE_TUNED,
}

# ---- small: a few hundred genes, two narrow blocks, a schedule that warms up in one epoch --------

GENES = 200
NARROW = {
    "dim": 32,
    "depth": 2,
    "heads": 2,
    "dim_head": 16,
    "ff_mult": 2,
    "lr": 3e-3,
    "min_lr": 3e-4,
    "warmup": 1,
    "cycle": 20,
    "rescale": False,
}
SMALL_PRETRAINED = {"weights": "none", "n_genes": GENES, "epochs": 4, "batch": 16, **NARROW}
SMALL_FINE_TUNED = {"epochs": 6, "batch": 32, **NARROW}
WITH = pretrained("scbert", positions="coexpression", **SMALL_PRETRAINED)
WITHOUT = pretrained("scbert", gene2vec=False, **SMALL_PRETRAINED)

SMALL_FULL = {"weights": WITH, **SMALL_FINE_TUNED}
SMALL_NO_PRETRAINING = {"weights": "none", "positions": WITH, **SMALL_FINE_TUNED}
SMALL_NO_GENE2VEC = {"weights": WITHOUT, "gene2vec": False, **SMALL_FINE_TUNED}
SMALL_LOGREG = {"C": 1.0}
SMALL_DATA = ["pbmc68k_reduced"]
