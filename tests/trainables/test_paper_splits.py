"""The papers' own rows, against direct calls of the same libraries."""

import numpy as np
import pytest

from trainables.paper_splits import (
    SCBERT_FRACTIONS,
    boiarsky_zheng68k,
    logreg_share,
    paper_split,
    scbert_shares,
    scgpt_share,
)
from trainables.splits import fixed_split, leave_batch_out

CELLS, TRAIN, REPORTED = 68_450, 54_760, 13_690


@pytest.fixture(scope="module")
def zheng68k():
    """Labels of the size of Zheng68K: 68,450 cells of 11 unequal types."""
    rng = np.random.default_rng(0)
    return rng.choice([f"type {i}" for i in range(11)], CELLS, p=np.arange(1, 12) / 66)


def test_the_fixed_split_is_the_authors_call(zheng68k):
    from sklearn.model_selection import StratifiedShuffleSplit

    direct = StratifiedShuffleSplit(n_splits=1, test_size=0.2, random_state=2022)
    train, reported = next(direct.split(zheng68k, zheng68k))
    ours = boiarsky_zheng68k(zheng68k)
    assert (ours[0] == train).all()
    assert (ours[1] == reported).all()
    assert (len(train), len(reported)) == (TRAIN, REPORTED)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_scberts_few_shot_rows_are_replayed(zheng68k, k):
    train, _ = boiarsky_zheng68k(zheng68k)
    ours = scbert_shares(train, k)
    np.random.seed(2021 * k)  # noqa: NPY002  the authors' own calls
    for fraction in [1.0, 0.75, 0.5, 0.25, 0.1]:
        direct = np.random.choice(train, round(TRAIN * fraction), replace=False)  # noqa: NPY002
        assert (ours[fraction] == direct).all()
    assert [len(ours[f]) for f in SCBERT_FRACTIONS] == [54760, 41070, 27380, 13690, 5476]


@pytest.mark.parametrize("k", [0, 3])
def test_the_lr_baselines_rows_are_replayed(zheng68k, k):
    train, _ = boiarsky_zheng68k(zheng68k)
    for fraction in [0.75, 0.5, 0.25, 0.1]:
        np.random.seed(k)  # noqa: NPY002  the authors' own calls
        direct = np.random.choice(train, round(TRAIN * fraction), replace=False)  # noqa: NPY002
        assert (logreg_share(train, fraction, k) == direct).all()
    np.random.seed(k)  # noqa: NPY002
    assert (logreg_share(train, 1.0, k) == np.random.permutation(train)).all()  # noqa: NPY002


@pytest.mark.parametrize("seed", [1, 10])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.75])
def test_scgpts_shares_are_the_authors_call(seed, fraction):
    from sklearn.model_selection import train_test_split

    labels = np.random.default_rng(1).choice(list("abcdefgh"), 7_844)  # as many as MS trains on
    rows = np.arange(7_844)
    direct = train_test_split(rows, labels, train_size=fraction, random_state=seed, stratify=labels)
    assert (scgpt_share(labels, rows, fraction, seed) == direct[0]).all()


def test_what_was_chosen_on_the_reported_cells_says_so(zheng68k):
    split = paper_split(zheng68k, 0, fraction=0.1, draws="scbert")
    assert split.selected_on_test
    assert (split.valid == split.test).all()
    assert (split.train == scbert_shares(boiarsky_zheng68k(zheng68k)[0], 0)[0.1]).all()
    with pytest.raises(ValueError, match=r"drew no share of 0\.3"):
        paper_split(zheng68k, 0, fraction=0.3, draws="scbert")


def test_lr_trains_on_the_whole_share_and_scgpt_on_nine_tenths():
    labels = np.repeat(list("ab"), 500)
    marks = np.tile(["train"] * 8 + ["test"] * 2, 100)
    lr = paper_split(labels, 1, fraction=0.5, marks=marks, draws="logreg")
    scgpt = paper_split(labels, 1, fraction=0.5, marks=marks, draws="scgpt")
    assert set(lr.train) == set(scgpt.train) | set(scgpt.valid)
    assert len(lr.train) == 400
    assert len(scgpt.valid) == 40
    assert set(marks[scgpt.test]) == {"test"}
    assert not scgpt.selected_on_test


def test_each_batch_is_left_out_once():
    labels, batches = np.tile(list("aab"), 100), np.repeat(list("xyz"), 100)
    left_out = []
    for seed in range(3):
        split = leave_batch_out(labels, batches, seed, fraction=0.5)
        left_out += set(batches[split.test])
        seen = set(batches[split.train]) | set(batches[split.valid])
        assert not seen & set(batches[split.test])
        assert set(labels[split.train]) == {"a", "b"}
    assert sorted(left_out) == ["x", "y", "z"]


def test_cells_that_nobody_could_name_are_not_reported():
    labels = np.array(["a", "b"] * 20 + ["a", "only here"] * 5)
    batches = np.array(["x"] * 40 + ["y"] * 10)
    assert set(labels[leave_batch_out(labels, batches, 1).test]) == {"a"}


@pytest.mark.parametrize(
    ("labels", "batches", "words"),
    [
        (list("abab"), list("xxxx"), "every cell is of batch 'x'"),
        (list("aaabbb"), list("xxxyyy"), "shares no cell type"),
    ],
)
def test_what_cannot_be_left_out_is_refused(labels, batches, words):
    with pytest.raises(ValueError, match=words):
        leave_batch_out(np.array(labels), np.array(batches), 0)


def test_a_fixed_test_set_is_the_same_for_every_seed_and_share():
    labels, marks = np.tile(list("ab"), 100), np.repeat(["train", "test"], 100)
    splits = [fixed_split(labels, marks, s, fraction=f) for s in (0, 1) for f in (0.1, 1.0)]
    assert all((split.test == splits[0].test).all() for split in splits)
    assert set(splits[0].train) <= set(splits[1].train)
    with pytest.raises(ValueError, match="marked train and test"):
        fixed_split(labels, np.repeat("train", 200), 0)
