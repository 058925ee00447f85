"""A head by Adam goes torch's way, step by step, and a model of it keeps to seeds and sentences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from tests.trainables.test_heads import blobs
from trainables import adam, catalog
from trainables.cells import open_cells, prepare
from trainables.heads import standardised
from trainables.models.head import orders, start
from trainables.tasks.annotation import TASK as Annotation


def torchs(x, labels, weights, orders, lr, batch_size, weight_decay):
    """Probabilities of a head that torch trains, one batch after the other, and each epoch's loss
    a cell."""
    import torch
    from sklearn.preprocessing import StandardScaler

    z = torch.from_numpy(StandardScaler().fit_transform(x).astype(np.float32))
    y = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    layer = torch.nn.Linear(x.shape[1], len(weights))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights[:, :-1]))
        layer.bias.copy_(torch.from_numpy(weights[:, -1]))
    steps = torch.optim.Adam(layer.parameters(), lr=lr, weight_decay=weight_decay)
    losses = []
    for order in orders:
        losses.append(0.0)
        for rows in torch.from_numpy(order).split(batch_size):
            loss = torch.nn.functional.cross_entropy(layer(z[rows]), y[rows])
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses[-1] += loss.item() * len(rows) / len(z)
    with torch.no_grad():
        return layer(z).softmax(dim=1).numpy(), losses


def chances(head, x):
    return softmax(head.scores(x), axis=1)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    k=st.integers(2, 8),
    d=st.sampled_from([1, 2, 7, 16, 50]),
    n=st.integers(30, 90),
    batch_size=st.sampled_from([4, 7, 32, 100]),
    lr=st.sampled_from([1e-3, 3e-2]),
    weight_decay=st.sampled_from([0.0, 1e-2]),
)
def test_it_goes_the_way_of_torch(seed, k, d, n, batch_size, lr, weight_decay):
    x, labels = blobs(n, d, k, seed)
    labels[:k] = list("abcdefgh")[:k]  # none is missing
    weights = start(seed, k, d)
    how = {"lr": lr, "batch_size": batch_size, "weight_decay": weight_decay}
    told = []
    head = adam.fitted(
        x, labels, weights, orders(seed, n, 3), **how, tell=lambda *now: told.append(now)
    )
    theirs, losses = torchs(x, labels, weights, orders(seed, n, 3), **how)
    ours = chances(head, x)
    assert np.abs(ours - theirs).max() < 1e-4
    best = np.sort(theirs, axis=1)
    sure = best[:, -1] - best[:, -2] > 2e-4
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1))[sure].all()
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert np.allclose([loss for _, loss in told], losses, rtol=1e-3, atol=1e-5)


def test_many_classes_ten_epochs_and_cells_told_apart_beyond_float32():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 64)) * 20
    codes = np.arange(300) % 12
    x = (centres[codes] + rng.normal(size=(300, 64))).astype(np.float32)
    weights = start(0, 12, 64)
    for lr in (1e-3, 1.0):
        head = adam.fitted(x, codes, weights, orders(0, 300, 10), lr=lr)
        theirs, _ = torchs(x, codes, weights, orders(0, 300, 10), lr, 32, 0.0)
        assert np.abs(chances(head, x) - theirs).max() < 1e-4
        assert (head.predict(x) == theirs.argmax(axis=1)).all()


def test_coordinates_are_standardised_as_a_probes_are():
    x, _ = blobs(n=90, d=12)
    for ours, theirs in zip(standardised(x, adam.spread), standardised(x), strict=True):
        assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [np.int32, np.float16])
def test_coordinates_of_any_kind_of_number_are_those_of_float32(kind):
    x = np.random.default_rng(0).integers(0, 9, (60, 5))
    for one in (standardised(x.astype(kind)), standardised(x.astype(kind), adam.spread)):
        for ours, theirs in zip(one, standardised(x.astype(np.float32)), strict=True):
            assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_what_is_begun_with_stays_as_it_was():
    x, labels = blobs(n=60, d=6, k=4)
    weights, before = start(0, 4, 6), start(0, 4, 6)
    adam.fitted(x, labels, weights, orders(0, 60, 2))
    assert (weights == before).all()
    assert np.abs(weights).max() <= 6**-0.5
    assert (start(1, 4, 6) != before).any()
    first, second = orders(0, 60, 2)
    assert sorted(first) == sorted(second) == list(range(60))
    assert (first != second).any()


def test_a_training_that_diverges_ends_in_a_sentence():
    x, labels = blobs(n=60, d=6, k=4)
    with pytest.raises(
        ValueError, match=r"loss is (nan|inf) in epoch 1.*lower lr, which is 1e\+39"
    ):
        adam.fitted(x, labels, start(0, 4, 6), orders(0, 60, 2), lr=1e39)
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"loss is nan in epoch 1.*in the embedding"):
        adam.fitted(x, labels, start(0, 4, 6), orders(0, 60, 2))


# ---- as a model --------------------------------------------------------------------------------


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


def parts(cells):
    """A third each; labels of the last are gone."""
    train, valid, test = (cells[first::3].copy() for first in range(3))
    del test.obs["cell_type"]
    return train, valid, test


def test_a_head_that_has_time_learns_real_cells_as_a_probe_does(blood, ctx):
    models = catalog.model("pca+head", {"epochs": 100}), catalog.model("pca+probe")
    head, probe = (Annotation()(model, blood, ctx)["test/accuracy"] for model in models)
    assert probe > 0.7
    assert head > probe - 0.05


def test_a_seed_has_one_answer_and_each_epoch_is_told(cells, ctx):
    told, seen = [], {}
    hear = replace(ctx, report=told.append, saw=lambda step, names: seen.update({step: set(names)}))
    train, valid, test = parts(cells)
    model = catalog.model("hvg+head", {"epochs": 3, "batch_size": 50, "lr": 1e-2})
    first = model.fit_predict(train, valid, test, hear)
    assert [one["epoch"] for one in told] == [1, 2, 3]
    assert told[0]["train/loss"] > told[2]["train/loss"]
    assert {one["lr"] for one in told} == {1e-2}
    assert seen["head fit"] == set(train.obs_names)
    losses = [one["train/loss"] for one in told]
    told.clear()
    again = model.fit_predict(train, valid, test, hear)
    assert (first.test == again.test).all()
    assert (first.valid == again.valid).all()
    assert [one["train/loss"] for one in told] == losses
    told.clear()
    model.fit_predict(train, valid, test, replace(hear, seed=1))
    assert [one["train/loss"] for one in told] != losses


def test_no_cells_to_choose_on_and_two_types_will_do(cells, ctx):
    two = cells[cells.obs["cell_type"].isin(cells.obs["cell_type"].unique()[:2])].copy()
    train, valid, test = parts(two)
    said = catalog.model("hvg+head").fit_predict(train, valid[:0].copy(), test, ctx)
    assert len(said.valid) == 0
    assert len(said.test) == test.n_obs
    assert set(said.test) <= set(two.obs["cell_type"])


def test_what_cannot_be_is_refused_in_a_sentence(cells, ctx):
    with pytest.raises(ValueError, match="a head's lr is 0; it must be above zero"):
        catalog.model("pca+head", {"lr": 0})
    for name, value in (("epochs", 0), ("batch_size", 0), ("batch_size", 2.5)):
        with pytest.raises(ValueError, match=f"a head's {name} is {value}; it must be a whole num"):
            catalog.model("pca+head", {name: value})
    with pytest.raises(ValueError, match="a head's weight_decay is -1; it must not be below zero"):
        catalog.model("pca+head", {"weight_decay": -1})
    train, valid, test = parts(cells)
    only = train[train.obs["cell_type"] == train.obs["cell_type"].iloc[0]].copy()
    with pytest.raises(ValueError, match="two cell types to tell apart, and was taught one"):
        catalog.model("pca+head").fit_predict(only, valid, test, ctx)
