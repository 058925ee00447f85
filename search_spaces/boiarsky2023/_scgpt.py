"""What the scGPT sweeps share: the authors' data sets, and a size for two cores and minutes."""

from typing import Any

from search_spaces.spaces import pretrained

DATASETS = ["ms", "pancreas", "myeloid"]
SEEDS = range(1, 11)
PAPER = {"protocol": "paper"}

# ---- small: pretrained on the unlabelled training cells, at a hundredth of a thousandth ----------

SHAPE: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "hidden": 64}
SMALL_DATA = ["pbmc68k_reduced"]
OWN = pretrained("scgpt", weights="none", epochs=8, lr=3e-3, batch=16, max_length=256, **SHAPE)
SMALL_FINE_TUNED = {"epochs": 8, "lr": 2e-3, "batch": 16, "max_length": 256, "shuffle": True}
SMALL_SCRATCH = {"weights": "none", **SHAPE, **SMALL_FINE_TUNED}
