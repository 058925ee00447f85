"""Every model that several processes may train, trained a little: alone, or as one of several.

python sharing_script.py FOLDER PLACE RANK
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.networks import weights
from trainables.networks.processes import Place, joined
from trainables.protocols import Context
from trainables.splits import random_split
from trainables.store import Store

SHAPE = {"layers": 1, "width": 8, "heads": 2, "hidden": 8, "dropout": 0.0}
SCBERT = {"dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "ff_mult": 1, "gene2vec": False}
TINY = {
    "scbert": {**SCBERT, "trained": "all", "prefix_mb": 0.0, "min_lr": 1e-3, "lr": 1e-3},
    "scgpt": {**SHAPE, "shuffle": True, "lr": 1e-3, "passes": 2},
    "geneformer": {**SHAPE, "max_length": 32, "lr": 1e-3},
}


def trained(folder, report):
    """What each training says, and the weights of what was pretrained."""
    ctx = Context(0, folder, Store(folder / "store"), report=report)
    cells = open_cells(prepare(catalog.dataset("toy"), ctx.store))
    split = random_split(cells.obs["cell_type"].astype(str).to_numpy(), 0)
    parts = (
        rows(cells, split.train[:23], labels=True),
        rows(cells, split.valid, labels=True),
        rows(cells, split.test, labels=False),
    )
    said = {}
    for name, params in TINY.items():
        params = {"weights": "none", "epochs": 1, "batch": 10, **params}
        model = catalog.model(name, params)
        said[f"{name} names"] = model.fit_predict(*parts, ctx).test.tolist()
        made = model.pretrain(*parts, replace(ctx, scratch=folder / name))
        said[f"{name} given"] = np.asarray(made.given).tolist()
        # transformers writes files in process 0 alone
        for path in sorted(p for p in made.weights.rglob("*") if p.suffix in SUFFIXES):
            for key, value in weights.read(path).items():
                said[f"{name} {key}"] = value
    return said


SUFFIXES = (".pt", ".pth", ".safetensors", ".bin")


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, place, rank = Path(sys.argv[1]), Place(**json.loads(sys.argv[2])), int(sys.argv[3])
    folder.mkdir()
    told = []
    with joined(place, rank):
        said = trained(folder, told.append)
    torch.save({"said": said, "told": told}, folder / "out.pt")
