"""Differences between the sweeps and Kedzierska et al., item by item."""

from orchestrator.fidelity import Difference

RUNS = [
    Difference(
        "runs",
        "one of each, scGPT's with seed 7 and scVI's with seed 0",
        "five seeds: 7, 0, 1, 2, 3",
    ),
]
CELLS_SCORED = [
    Difference(
        "cells that are scored",
        "1,000 or 7,500 drawn ones in the notebooks, all for HVG and scVI; figures do not say",
        "all cells up to 100,000, then a draw by the seed with intervals",
    ),
    Difference(
        "batches of the pancreas",
        "nine runs (tech) for scGPT, six protocols for the others",
        "six protocols for all",
    ),
]
FILTERS = [
    Difference(
        "cells with fewer than 10 genes",
        "left out for HVG, scVI and Geneformer, kept for scGPT",
        "left out for all models, so that all are scored on the same cells",
    ),
]
VALUES = [
    Difference(
        "values of the pancreas for HVG and Geneformer",
        "X of the file, which seems logged already, and for HVG normalised and logged again",
        "counts, logged once; values=X gives Geneformer the file's logged values",
    ),
    Difference(
        "variable genes for scGPT",
        "seurat_v3 on X, logged or not",
        "seurat_v3 on counts where there are any",
    ),
]
CLUSTERS = [
    Difference(
        "neighbours that clusters are found on",
        "in version 1 those of another embedding, by a fault of the package; mended in version 2",
        "always those of the embedding itself",
    ),
]
LIBRARIES = [
    Difference(
        "scVI",
        "scvi-tools of 2023 with its defaults",
        "scvi-tools 1.4 with its defaults: the same epochs, 400 and fewer above 20,000 cells",
    ),
    Difference(
        "attention",
        "flash-attn 1.0.4 in float16",
        "torch's attention in float16 on a GPU, float32 on a CPU",
    ),
]
ZERO_SHOT = [*RUNS, *CELLS_SCORED, *FILTERS, *VALUES, *LIBRARIES]
REDUCED = [
    Difference(
        "fewer dimensions",
        "neither method nor number is stated",
        "30 principal components, as many dimensions as scVI has",
    ),
]
PANELS = [
    Difference(
        "panel of all genes",
        "scanpy's neighbours without a representation, which are of 50 principal components",
        "the model pca",
    ),
]
AVERAGES = [
    Difference(
        "average that scGPT is compared with",
        'text: mean of each gene; code: one number for all ("scgpt+average/one")',
        "both",
    ),
]
RANKS = [
    Difference(
        "cells of the average rank",
        "500 or 1,000 drawn without a seed",
        "all cells",
    ),
    Difference(
        "definition of the correlation",
        "three in the history of the code, which disagree about the winner",
        "all three: rank_union, rank_all_tokens, rank_percent_rank",
    ),
]
UNSEEN = [
    Difference(
        "cells that Geneformer was pretrained on",
        "left out; the studies are not named",
        "asked for: task.without",
    ),
]
