"""Floors and ceilings: what every score is read between, and nobody's competitor."""

import pytest

from orchestrator.execute import execute
from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.tasks.annotation import TASK as Annotation
from trainables.tasks.clustering import TASK as Clustering
from trainables.tasks.integration import TASK as Integration
from trainables.trial import Trial


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.mark.parametrize(
    ("task", "metric", "floors", "ceiling"),
    [
        (Annotation(), "test/macro_f1", ("mean", "shuffled_labels"), "perfect_labels"),
        (Clustering(), "avg_bio", ("random_embedding",), "perfect_labels"),
        (Integration(), "asw_label_batch", ("batches_apart",), "perfect_mixing"),
    ],
)
def test_whoever_competes_lies_between_the_controls(task, metric, floors, ceiling, cells, ctx):
    def score(name):
        return task(catalog.model(name), cells, ctx)[metric]

    competitor = "pca+probe" if metric.startswith("test/") else "pca"
    for floor in floors:
        assert catalog.card(floor).control == "floor"
        assert score(floor) < score(competitor) <= score(ceiling) + 0.02
    assert catalog.card(ceiling).control == "ceiling"
    assert score(ceiling) > 0.95


def test_perfect_labels_are_right_about_every_cell(cells, ctx):
    found = Annotation()(catalog.model("perfect_labels"), cells, ctx)
    assert found["test/accuracy"] == found["valid/macro_f1"] == 1


def test_perfect_mixing_keeps_types_apart_and_no_batch(cells, ctx):
    mixed, plain = (Integration()(catalog.model(m), cells, ctx) for m in ("perfect_mixing", "pca"))
    assert mixed["ilisi"] > 0.9
    assert mixed["pcr"] < plain["pcr"] + 0.05
    assert Clustering()(catalog.model("perfect_mixing"), cells, ctx)["avg_bio"] > 0.5


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("perfect_labels+probe", "annotation"),
        ("perfect_labels+cached", "clustering"),
        ("perfect_mixing+knn", "annotation"),
    ],
)
def test_a_ceiling_inside_a_wrapper_sees_no_label(model, task, tmp_path):
    record = execute(Trial(model, task, "toy", 0), tmp_path, code_version="test")
    assert record["status"] == "failed"
    assert "shown labels only where it stands by itself" in record["reason"]


def test_the_record_of_a_ceiling_says_that_it_saw_the_test_cells(tmp_path):
    trial = Trial("perfect_labels", "annotation", "toy", 0)
    record = execute(trial, tmp_path, code_version="test")
    assert record["status"] == "ok"
    assert record["saw"][0]["step"] == "perfect_labels"
    assert record["saw"][0]["cells"] == record["counts"]["n_eval"]
