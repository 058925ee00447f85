"""What the zero-shot sweeps share: data sets, models, and a size for two cores and minutes."""

from importlib.util import find_spec
from typing import Any

from search_spaces.spaces import pretrained

SEVERAL_BATCHES = ["pancreas_scib", "pbmc12k", "immune", "tabula_sapiens"]
DATASETS = [*SEVERAL_BATCHES, "pbmc95k"]
SEEDS = (7, 0, 1, 2, 3)  # the paper has one run of each: 7 of scGPT's, 0 of scVI's notebook

# filter_cells(min_genes=10) of all models' cells; filter_genes(min_cells=10) of all but scGPT's
CELLS = {"min_genes": 10}
GENES = {"min_cells": 10}
BASELINES = {"hvg": GENES, "scvi": GENES}
SIX_LAYERS = {"weights": "v1-10m", **GENES}  # Geneformer of the paper

# variable genes as the authors choose them for counts
CHOICE = {"hvg_flavor": "seurat_v3"}

RANDOM = {"weights": "none", "vocabulary": "human"}  # the authors' network, without its weights


def within(params):
    """The same hyperparameters, of the embedder that a wrapper has."""
    return {f"embedder.{key}": value for key, value in params.items()}


def embedding(**params):
    """An arm of scGPT that embeds once for all tasks."""
    return within({**params, **CHOICE})


GENEFORMER = {"geneformer+cached": within(SIX_LAYERS)}
MODELS = {**BASELINES, "scgpt+cached": embedding(weights="human"), **GENEFORMER}


# ---- small: pretrained on the unlabelled training cells ------------------------------------------

SHAPE: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "hidden": 64}
OWN = pretrained("scgpt", weights="none", epochs=8, lr=3e-3, batch=16, max_length=256, **SHAPE)
FRESH = {"weights": "none", **SHAPE}
SMALL_EMBEDDERS = {
    "scgpt+cached": {"embedder.weights": OWN},
    "scgpt+cached/random": within(FRESH),
}
RANKS = {**SHAPE, "max_length": 256}
GENEFORMER_OWN = pretrained(
    "geneformer", weights="none", epochs=8, lr=3e-3, warmup=20, batch=16, **RANKS
)
GENEFORMER_FRESH = {"weights": "none", **RANKS}
SMALL_GENEFORMERS = {
    "geneformer+cached": {"embedder.weights": GENEFORMER_OWN},
    "geneformer+cached/random": within(GENEFORMER_FRESH),
}
SMALL_BASELINES = {
    "hvg": {},
    "pca": {},
    "random_embedding": {},
    **({"scvi": {"max_epochs": 50}} if find_spec("scvi") else {}),  # where its extra is installed
}
SMALL_MODELS = {**SMALL_BASELINES, **SMALL_EMBEDDERS, **SMALL_GENEFORMERS}
