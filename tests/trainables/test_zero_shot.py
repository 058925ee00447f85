"""The zero-shot tasks: clustering and integration of embeddings that saw no label."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.tasks.clustering import TASK as Clustering
from trainables.tasks.integration import TASK as Integration


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.fixture
def kept():
    return {}


@pytest.fixture
def keeping(ctx, kept):
    """A context that puts what a task saves into `kept`."""
    return replace(ctx, save=kept.__setitem__)


class Shown:
    """An embedding that is one-hot in a column which it should not know, plus noise."""

    def __init__(self, cells, key):
        codes = cells.obs[key].cat.codes.to_numpy()
        noise = np.random.default_rng(0).normal(scale=0.05, size=(cells.n_obs, codes.max() + 1))
        self.coordinates = np.eye(codes.max() + 1)[codes] + noise

    def embed(self, cells, ctx):
        assert "cell_type" not in cells.obs
        return self.coordinates.astype(np.float32)


def test_mixing_is_perfect_where_only_types_are_told_apart(cells, ctx):
    found = Integration()(Shown(cells, "cell_type"), cells, ctx)
    assert found["asw_label_batch"] > 0.9
    assert found["asw_batch"] == pytest.approx(0.5, abs=0.02)
    assert found["graph_connectivity"] == 1
    assert found["pcr"] < 0.05
    assert found["ilisi"] > 0.9
    assert found["n_batches"] == 2


def test_mixing_is_absent_where_only_batches_are_told_apart(cells, ctx):
    found = Integration()(Shown(cells, "batch"), cells, ctx)
    assert found["asw_label_batch"] < 0.1
    assert found["asw_batch"] > 0.9
    assert found["pcr"] > 0.9
    assert found["pcr_comparison"] == 0
    assert found["ilisi"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("task", [Clustering, Integration])
def test_each_number_says_whose_it_is(task, cells, keeping, kept):
    found = task()(catalog.model("pca"), cells, keeping)
    said = kept["certificate.csv"]
    assert dict(zip(said["metric"], said["value"], strict=True)).items() <= found.items()
    assert set(said["version"]) == {"definitions of scib 1.0.4"}
    assert "definitions of scib 1.0.4" in task().described(cells)
    assert task.headline in found


@pytest.mark.parametrize("task", [Clustering, Integration])
def test_a_draw_of_cells_says_so_and_brings_its_interval(task, cells, keeping, kept):
    asked = task(max_cells=150, umap=True)
    found = asked(catalog.model("pca"), cells, keeping)
    assert found["n_eval"] == 150
    name = task.headline
    assert found[f"{name}/ci_low"] < found[f"{name}/ci_high"]
    assert found[f"{name}/ci_low"] - 0.05 < found[name] < found[f"{name}/ci_high"] + 0.05
    assert "150 of 240 cells drawn by the seed" in asked.described(cells)
    one = kept["umap.parquet"]["cell"].tolist()
    asked(catalog.model("random_embedding"), cells, keeping)
    assert kept["umap.parquet"]["cell"].tolist() == one  # every model is asked about the same


def test_all_cells_have_no_interval(cells, ctx):
    assert not [name for name in Clustering()(catalog.model("pca"), cells, ctx) if "ci_" in name]


def test_coordinates_for_a_picture_are_kept_when_asked_for(cells, keeping, kept):
    Clustering(umap=True)(catalog.model("pca"), cells, keeping)
    picture = kept["umap.parquet"]
    assert list(picture) == ["cell", "x", "y", "cell_type", "batch"]
    assert picture["cell"].tolist() == cells.obs_names.tolist()
    assert np.isfinite(picture[["x", "y"]].to_numpy()).all()


def test_the_same_question_has_the_same_answer(cells, ctx):
    for task in (Clustering(), Integration()):
        first, again = (task(catalog.model("pca"), cells, ctx) for _ in range(2))
        assert first == again


def test_cells_without_batches_cluster_and_do_not_integrate(cells, ctx):
    whole = rows(cells, np.arange(cells.n_obs), labels=True)
    del whole.obs["batch"]
    assert 0 < Clustering()(catalog.model("pca"), whole, ctx)["avg_bio"] <= 1
    with pytest.raises(ValueError, match="at least two batches and found none: name --batch-key"):
        Integration().check(whole)


def test_batches_that_are_the_types_are_refused(cells):
    whole = rows(cells, np.arange(cells.n_obs), labels=True)
    whole.obs["batch"] = whole.obs["cell_type"]
    with pytest.raises(ValueError, match="a cell type that occurs in two batches"):
        Integration().check(whole)
    whole.obs["batch"] = "one"
    with pytest.raises(ValueError, match="at least two batches and found 1"):
        Integration().check(whole)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"backend": "sicb"}, "backend 'sicb' is none of those there are: scib, scib-metrics"),
        ({"resolution": "best"}, "resolution 'best' is none of those there are: guided, blind"),
        ({"algorithm": "kmeans"}, "there are: auto, louvain, leiden"),
        ({"backend": "scib-metrics", "algorithm": "louvain"}, "clusters by Leiden alone"),
    ],
)
def test_unknown_choices_are_refused_before_anything_runs(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        catalog.task("clustering", wrong)


@pytest.mark.parametrize("name", ["clustering", "integration"])
def test_the_other_back_end_runs_or_says_how_to_get_it(name, cells, keeping, kept):
    task = catalog.task(name, {"backend": "scib-metrics"})
    if find_spec("scib_metrics") is None:
        with pytest.raises(LookupError, match="uv sync --extra scib-metrics"):
            task.check(cells)
        return
    found = task(catalog.model("pca"), cells, keeping)
    assert 0 <= found[task.headline] <= 1
    assert kept["certificate.csv"]["version"].str.startswith("scib-metrics 0.").all()
