"""Splits: disjoint, stratified, nested, and the same for whoever asks."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.seeds import random_state, stream
from trainables.splits import class_shares, random_split

sizes = st.lists(st.integers(3, 60), min_size=2, max_size=8)
seeds = st.integers(0, 2**31)
fractions = st.floats(0.01, 1.0)


def labels_of(sizes, seed=0):
    labels = np.repeat([f"type {i}" for i in range(len(sizes))], sizes)
    return stream(seed, "test").permutation(labels)


@given(sizes, seeds, fractions)
def test_parts_are_disjoint_and_hold_every_class(sizes, seed, fraction):
    labels = labels_of(sizes)
    split = random_split(labels, seed, fraction=fraction)
    parts = [split.train, split.valid, split.test]
    together = np.concatenate(parts)
    assert len(set(together)) == len(together)
    assert all(set(labels[part]) == set(labels) for part in parts)


@given(sizes, seeds)
def test_with_all_labels_every_cell_is_somewhere(sizes, seed):
    labels = labels_of(sizes)
    split = random_split(labels, seed)
    together = np.sort(np.concatenate([split.train, split.valid, split.test]))
    assert (together == np.arange(len(labels))).all()


@given(sizes, seeds, fractions, fractions)
def test_smaller_shares_lie_inside_larger_ones(sizes, seed, one, other):
    labels = labels_of(sizes)
    small, large = (random_split(labels, seed, fraction=f) for f in sorted((one, other)))
    assert set(small.train) <= set(large.train)
    assert set(small.valid) <= set(large.valid)
    assert (small.test == large.test).all()


@given(st.lists(st.integers(10, 200), min_size=2, max_size=6), seeds)
def test_classes_keep_their_shares(sizes, seed):
    labels = labels_of(sizes)
    split = random_split(labels, seed, test=0.2, valid=0.1)
    for name, size in zip(*np.unique(labels, return_counts=True), strict=True):
        assert abs((labels[split.test] == name).sum() - 0.2 * size) <= 1
        assert abs((labels[split.valid] == name).sum() - 0.1 * size) <= 1
    assert abs(len(split.test) - 0.2 * len(labels)) <= len(sizes)


@given(st.lists(st.integers(5, 200), min_size=2, max_size=6))
def test_a_share_of_the_cells_is_that_share(sizes):
    assert class_shares(np.array(sizes), 0.2).sum() == round(0.2 * sum(sizes))


@given(sizes, seeds)
def test_the_same_seed_splits_alike_and_another_differently(sizes, seed):
    labels = labels_of([size + 30 for size in sizes])
    first, again = random_split(labels, seed), random_split(labels, seed)
    assert all((getattr(first, p) == getattr(again, p)).all() for p in ("train", "valid", "test"))
    assert set(first.test) != set(random_split(labels, seed + 1).test)


def test_every_model_meets_the_same_split(ctx):
    from trainables.protocols import Predictions
    from trainables.tasks.annotation import TASK
    from trainables.trial import Trial

    cells = Trial("mean", "annotation", "toy", 0).cells(ctx.store)
    met = []

    class Notes:
        def __init__(self, draws):
            self.draws = draws

        def fit_predict(self, train, valid, test, ctx):
            np.random.default_rng(0).random(self.draws)
            np.random.random(self.draws)  # noqa: NPY002  a model that disturbs global randomness
            met.append([list(part.obs_names) for part in (train, valid, test)])
            return Predictions(test=np.full(test.n_obs, "a"), valid=np.full(valid.n_obs, "a"))

    for draws in (0, 5):
        TASK(fraction=0.25)(Notes(draws), cells, ctx)
    assert met[0] == met[1]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"] * 9 + ["b"] * 2, "too few cells of 'b' (2)"),
        (["a"] * 9, "nothing to tell apart"),
    ],
)
def test_what_cannot_be_split_is_refused_in_words(labels, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        random_split(np.array(labels), 0)


@pytest.mark.parametrize("wrong", [{"fraction": 0}, {"fraction": 1.5}, {"test": 0.7, "valid": 0.3}])
def test_impossible_shares_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        random_split(np.repeat(["a", "b"], 10), 0, **wrong)


@given(seeds)
def test_a_stream_depends_on_seed_and_purpose_alone(seed):
    assert stream(seed, "split").integers(2**62) == stream(seed, "split").integers(2**62)
    assert stream(seed, "split").integers(2**62) != stream(seed, "mask").integers(2**62)
    assert stream(seed, "split").integers(2**62) != stream(seed + 1, "split").integers(2**62)
    assert 0 <= random_state(seed, "init") < 2**31
