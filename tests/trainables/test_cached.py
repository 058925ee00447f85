"""Remembered embeddings: one pass, no matter who asks, and another wherever anything differs."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from trainables import catalog
from trainables.arithmetic import Arithmetic, arithmetic
from trainables.audit import Leak
from trainables.cells import open_cells, prepare, rows
from trainables.models.cached import MODEL as Cached
from trainables.networks import precision
from trainables.protocols import Card
from trainables.tasks.annotation import TASK as Annotation
from trainables.tasks.clustering import TASK as Clustering
from trainables.tasks.integration import TASK as Integration

PASSES = []


@dataclass(frozen=True)
class Slow:
    """Counts how often it is asked."""

    scale: float = 1.0
    card: ClassVar = Card(summary="slow")

    def embed(self, cells, ctx):
        ctx.saw("slow fit", cells.obs_names[:10])
        PASSES.append(cells.n_obs)
        return cells.X[:, :5].toarray() * np.float32(self.scale + ctx.seed)


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.fixture(autouse=True)
def passes():
    PASSES.clear()
    return PASSES


def test_two_tasks_pay_for_one_pass_and_score_the_same(cells, ctx, passes):
    for task in (Clustering(), Integration(), Clustering(umap=True)):
        remembered = task(Cached(Slow()), cells, ctx)
        assert len(passes) == 1
        assert remembered == task(Slow(), cells, ctx)
        del passes[1:]


@pytest.mark.parametrize("what", ["scale", "seed", "order", "genes", "marks", "batches", "data"])
def test_whatever_decides_an_embedding_makes_another(what, cells, ctx, passes):
    everyone = rows(cells, np.arange(cells.n_obs), labels=False).copy()
    first = Cached(Slow()).embed(everyone, ctx)
    other, model, context = everyone.copy(), Cached(Slow()), ctx
    if what == "scale":
        model = Cached(Slow(scale=2.0))
    elif what == "seed":
        context = replace(ctx, seed=1)
    elif what == "order":
        other = everyone[::-1].copy()
    elif what == "genes":
        other = everyone[:, ::-1].copy()
    elif what == "marks":
        other.obs["split"] = "train"
    elif what == "batches":
        other.obs["batch"] = "one"
    else:
        other.uns["gauntlet"] = {**other.uns["gauntlet"], "sha256": "another"}
    again = model.embed(other, context)
    assert len(passes) == 2
    assert what in ("marks", "batches", "data") or not np.array_equal(first, again)


@dataclass(frozen=True)
class Precise(Slow):
    """Has a network, and so a precision and an attention kernel."""

    precision: str = "float32"
    attention: ClassVar[str] = "performer"


@pytest.mark.parametrize("frozen_embedder", [False, True])
def test_another_precision_or_kernel_never_stands_for_this_one(
    frozen_embedder, cells, ctx, passes, monkeypatch
):
    monkeypatch.setattr(Precise, "frozen", frozen_embedder, raising=False)
    everyone = rows(cells, np.arange(cells.n_obs), labels=False)
    for _ in range(2):
        Cached(Precise()).embed(everyone, ctx)
    assert len(passes) == 1
    with monkeypatch.context() as patched:
        patched.setattr(precision, "usable", lambda wanted, device: "float16")
        Cached(Precise()).embed(everyone, ctx)
    assert len(passes) == 2
    with monkeypatch.context() as patched:
        patched.setattr(Precise, "attention", "flash")
        Cached(Precise()).embed(everyone, ctx)
    assert len(passes) == 3
    Cached(Precise()).embed(everyone, ctx)
    assert len(passes) == 3


def test_arithmetic_is_that_of_the_network_inside():
    geneformer = catalog.model("geneformer+cached+probe", {"embedder.embedder.weights": "none"})
    assert arithmetic(geneformer, "cpu") == Arithmetic("cpu", "float32", "flash")
    scbert = {"weights": "none", "gene2vec": False, "precision": "float16"}
    assert arithmetic(catalog.model("scbert", scbert), "cpu") == Arithmetic(
        "cpu", "float32", "performer"
    )
    assert arithmetic(catalog.model("scgpt", {"backend": "authors"}), "cpu").attention == (
        "torch.nn.TransformerEncoder"
    )
    assert arithmetic(catalog.model("pca+probe"), "cpu") == Arithmetic("cpu")


def test_what_was_seen_is_told_again(cells, ctx):
    told = []
    listening = replace(ctx, saw=lambda step, names: told.append((step, list(names))))
    for _ in range(2):
        Cached(Slow()).embed(cells, listening)
    assert told == [("slow fit", cells.obs_names[:10].tolist())] * 2


def test_a_remembered_embedding_that_saw_test_cells_is_a_leak_each_time(cells, ctx):
    @dataclass(frozen=True)
    class Peeks(Slow):
        def embed(self, cells, ctx):
            ctx.saw("peeking", cells.obs_names)
            return super().embed(cells, ctx)

    peeks = Cached(Peeks())
    for _ in range(2):
        with pytest.raises(Leak, match="peeking saw 48 of the 48 test cells"):
            Annotation()(catalog.find("models", "knn")(peeks), cells, ctx)


def test_wrappers_stack(cells, ctx):
    plain, remembered = (
        Annotation()(catalog.model(name, {"n_neighbors": 5}), cells, ctx)
        for name in ("pca+knn", "pca+cached+knn")
    )
    assert remembered == plain
    assert plain["test/accuracy"] > 0.8
    deep = catalog.model("pca+cached+probe", {"embedder.embedder.n_components": 3})
    assert deep.embedder.embedder.n_components == 3


def test_cells_of_nowhere_cannot_be_remembered(cells, ctx):
    stranger = rows(cells, np.arange(20), labels=False).copy()
    stranger.uns = {}
    with pytest.raises(ValueError, match="do not say which data set they are of"):
        Cached(Slow()).embed(stranger, ctx)
