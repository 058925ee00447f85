"""Batches in parts, for want of memory: fewer cells at a time, and the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.models.scbert import ScBERT
from trainables.splits import random_split

SHAPE = {"layers": 1, "width": 8, "heads": 2, "hidden": 8, "dropout": 0.0}
SCBERT = {"dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "ff_mult": 1, "gene2vec": False}
TINY = {
    "scbert": {**SCBERT, "trained": "all", "prefix_mb": 0.0, "min_lr": 1e-2, "lr": 1e-2},
    "scgpt": {**SHAPE, "shuffle": True, "lr": 1e-2},
    "geneformer": {**SHAPE, "max_length": 32, "lr": 1e-2},
}


@pytest.fixture
def parts(ctx):
    cells = open_cells(prepare(catalog.dataset("toy"), ctx.store))
    split = random_split(cells.obs["cell_type"].astype(str).to_numpy(), 0)
    return (
        rows(cells, split.train[:25], labels=True),
        rows(cells, split.valid, labels=True),
        rows(cells, split.test, labels=False),
    )


def trained(name, ability, parts, ctx):
    """What a training told, and the most cells that its network saw at a time."""
    model = catalog.model(name, {"weights": "none", "epochs": 2, "batch": 10, **TINY[name]})
    told, most = [], 0

    def look(module, given):
        nonlocal most
        if module.training and isinstance(module, torch.nn.LayerNorm) and given[0].ndim == 3:
            most = max(most, len(given[0]))

    hook = register_module_forward_pre_hook(look)
    try:
        getattr(model, ability)(*parts, replace(ctx, report=told.append))
    finally:
        hook.remove()
    return told, most


@pytest.mark.parametrize("ability", ["fit_predict", "pretrain"])
@pytest.mark.parametrize("name", sorted(TINY))
def test_every_term_of_a_batch_weighs_what_it_weighs_in_the_whole(
    name, ability, parts, ctx, monkeypatch
):
    if name == "geneformer":  # as on a GPU: on CPU each of its cells is alone
        pytest.importorskip("transformers")
        from trainables.networks import geneformer_runs as network

        monkeypatch.setattr(network.Run, "parts", lambda self, cells: self.ctx.parts)
    whole, most = trained(name, ability, parts, ctx)
    in_parts, fewer = trained(name, ability, parts, replace(ctx, parts=3))
    assert (most, fewer) == (10, 4)
    for one, other in zip(whole, in_parts, strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    assert np.isfinite(whole[-1]["train/loss"])


def test_where_a_cell_depends_on_its_batch_nothing_is_parted(parts, ctx):
    model = ScBERT(weights="none", stabiliser="paper", **SCBERT)
    with pytest.raises(MemoryError, match="make batch smaller"):
        model.fit_predict(*parts, replace(ctx, parts=4))


def test_who_heeds_parts_says_so():
    assert catalog.card("scbert").parts
    assert catalog.card("scgpt+probe").parts
    assert not catalog.card("logreg").parts
