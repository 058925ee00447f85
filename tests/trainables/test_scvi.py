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


def test_epochs_are_told(cells, ctx):
    pytest.importorskip("scvi")
    told = []
    model = catalog.model("scvi", {"max_epochs": 3, "n_latent": 5})
    assert model.embed(cells, replace(ctx, report=told.append)).shape == (cells.n_obs, 5)
    assert [report["epoch"] for report in told] == [1, 2, 3]
    assert all(np.isfinite(report["train/loss"]) for report in told)


def test_batches_mix(cells, ctx):
    pytest.importorskip("scvi")
    found = Integration()(catalog.model("scvi", {"max_epochs": 30}), cells, ctx)
    assert found["asw_label_batch"] > 0.8
