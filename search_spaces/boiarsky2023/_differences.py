"""Differences between the sweeps of scBERT and scGPT and Boiarsky et al., item by item."""

from orchestrator.fidelity import Difference

OWN, PUBLISHED = "scbert/own_pretraining", "scbert/published_weights"
STARTED_FROM = Difference(
    "weights that scBERT starts from",
    "the authors' own pretraining on Panglao, 17 epochs, not published",
    "the checkpoint that scBERT's authors published (weights=panglao)",
    f"arms={OWN}",
)
STARTED_FROM_OWN = Difference(
    "weights that scBERT starts from",
    "the authors' own pretraining on Panglao, 17 epochs, not published",
    "a pretraining here by their settings, 17 epochs; the published checkpoint is"
    f" arms={PUBLISHED}",
)
PRETRAINING = [
    Difference(
        "cells of a step of pretraining",
        "drawn with replacement; 8 x 60 for each of an unstated number of GPUs",
        "each cell once an epoch; 8 x 60 in all",
    ),
]
WITHOUT_GENE2VEC = [
    Difference(
        "epochs of pretraining without gene2vec",
        "17 in the text, 6 in the name of the only checkpoint",
        "17, as many as with gene2vec",
    ),
]
SCBERT = [
    Difference(
        "order of batches, initial head and random features",
        "drawn from torch's global generator",
        "drawn from named streams of the same seed",
    ),
    Difference(
        "cells that share a batch when the result is reported",
        "64, in an order drawn by one generator for all runs",
        "64, in an order drawn by the seed of the run",
    ),
]
ROWS = [
    Difference(
        "seeds of scBERT with all labels",
        "1000, 2000, 3000, 4000, 2021, 2022, 2023, and three few-shot runs: 0, 2021 again, 4042",
        "these, with 5000 in the place of the second 2021",
    ),
    Difference(
        "repetitions of logistic regression",
        "numpy seeded with 0 to 9 permutes the training cells",
        "the seeds of scBERT do",
    ),
]
ABLATIONS = [
    Difference(
        "seeds of the full model",
        "seven of the ablations' ten, and three few-shot runs: 0, 2021 again, 4042",
        "the ablations' ten for all arms",
    ),
]
FEW_SHOT = [
    Difference(
        "C of logistic regression",
        "text: by cross-validation for each subset; code: 0.1",
        "0.1, as in the code",
    ),
]
BATCH_SIZES = [
    Difference(
        "batch sizes and seeds",
        "the text names 8 and 32; list and number of seeds are not given",
        "8, 16, 32, 64, 128, with the seeds of Table 1",
    ),
]
MASKED = [
    Difference(
        "genes that are masked",
        "drawn on the GPU after torch.manual_seed(2021)",
        "drawn from a named stream of the seed 2021, the same for all models",
    ),
    Difference(
        "cells that get their commonest bin for all masked genes",
        "the first masked gene of a cell is looked at",
        "all masked genes of a cell are (test/modal_cells)",
    ),
]
LIVER = [
    Difference(
        "scBERT on liver cells",
        "its files are not in the repository",
        "fine-tuned by the settings of Table 1",
    ),
]
SCGPT = [
    Difference(
        "cells that choose the epoch",
        "train_test_split(test_size=0.1) from a global state that nobody can replay",
        "the same call with a random_state from the seed",
    ),
    Difference(
        "values at the edge of bins",
        "ties drawn from numpy's global state, train and test apart",
        "ties drawn from a hash of seed, cell and gene",
    ),
    Difference(
        "attention",
        "flash-attn 1.0.4 in float16",
        "torch's attention in float16 on a GPU, float32 on a CPU",
    ),
]
FROZEN = [
    Difference(
        "parts that are frozen",
        'text: "all pre-decoder weights"; code: embeddings of genes and values',
        "both: scgpt/scratch_frozen is the code's, scgpt/scratch_head_only the text's",
    ),
]
