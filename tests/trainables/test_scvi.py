"""scVI where its extra is installed, and the way to it where it is not."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.tasks.integration import TASK as Integration


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.mark.skipif(find_spec("scvi") is not None, reason="the extra is here")
def test_a_missing_extra_is_named_with_the_way_to_it(cells, ctx):
    with pytest.raises(LookupError, match="uv sync --extra scvi"):
        catalog.model("scvi").embed(cells, ctx)


def test_epochs_are_told_and_the_same_seed_gives_the_same_embedding(cells, ctx):
    pytest.importorskip("scvi")
    told, seen = [], []
    listening = replace(ctx, report=told.append, saw=lambda step, names: seen.append(step))
    model = catalog.model("scvi", {"max_epochs": 3, "n_latent": 5})
    first, again = model.embed(cells, listening), model.embed(cells, ctx)
    assert first.shape == (cells.n_obs, 5)
    assert first.dtype == np.float32
    assert [report["epoch"] for report in told] == [1, 2, 3]
    assert all(np.isfinite(report["train/loss"]) for report in told)
    assert seen == ["scvi fit"]
    np.testing.assert_array_equal(first, again)


def test_batches_mix(cells, ctx):
    pytest.importorskip("scvi")
    found = Integration()(catalog.model("scvi", {"max_epochs": 30}), cells, ctx)
    assert found["asw_label_batch"] > 0.8


def test_it_is_fitted_on_marked_cells_alone(cells, ctx):
    pytest.importorskip("scvi")
    marked = cells.copy()
    marked.obs["split"] = np.where(np.arange(cells.n_obs) % 3, "train", "test")
    seen = []
    listening = replace(ctx, saw=lambda step, names: seen.extend(names))
    embedded = catalog.model("scvi", {"max_epochs": 2}).embed(marked, listening)
    assert len(embedded) == cells.n_obs
    assert len(seen) == (marked.obs["split"] == "train").sum()
