"""Scores of labels are scikit-learn's, to the last digit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from trainables.metrics.classification import counted

words = st.lists(st.sampled_from(["a", "bb", "ccc", "d"]), min_size=8, max_size=8)
some_labels = st.sampled_from([["a", "bb"], ["d", "a", "ccc", "never"]])


@given(words, words, some_labels)
def test_each_class_is_scored_as_scikit_learn_does(truth, predicted, labels):
    counts = counted(np.array(truth), np.array(predicted, dtype=object))
    ours = counts.per_class(np.array(labels))
    theirs = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    for column, values in zip(("precision", "recall", "f1", "cells"), theirs, strict=True):
        assert ours[column].tolist() == values.tolist()
    scores = counts.scores(np.array(labels))
    assert scores["accuracy"] == accuracy_score(truth, predicted)
    for name, values in zip(("precision", "recall", "f1"), theirs, strict=False):
        assert scores[f"macro_{name}"] == np.mean(values)


@given(words, words)
def test_the_confusion_is_scikit_learns(truth, predicted):
    counts = counted(np.array(truth), np.array(predicted))
    labels = sorted({*truth, *predicted})
    assert counts.confusion().columns.tolist() == ["truth", *labels]
    theirs = confusion_matrix(truth, predicted, labels=labels)
    assert counts.confusion()[labels].to_numpy().tolist() == theirs.tolist()
    assert counts.true_labels.tolist() == sorted(set(truth))


@given(words, words, some_labels)
def test_hard_labels_are_scored_on_their_own_cells(truth, predicted, labels):
    counts = counted(np.array(truth), np.array(predicted))
    said = np.array(predicted)[np.isin(truth, labels)]
    meant = np.array(truth)[np.isin(truth, labels)]
    found = counts.hard_scores(np.array(labels))
    assert found.get("accuracy_hard") == (accuracy_score(meant, said) if len(meant) else None)


@pytest.mark.parametrize("said", [0, np.nan, None])
def test_what_is_no_label_is_refused(said):
    with pytest.raises(TypeError):
        counted(np.array(["a", "b"], dtype=object), np.array(["a", said], dtype=object))
