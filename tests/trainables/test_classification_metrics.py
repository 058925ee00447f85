"""Scores of labels are scikit-learn's, to the last digit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from trainables.metrics.classification import per_class

words = st.lists(st.sampled_from(["a", "bb", "ccc", "d"]), min_size=8, max_size=8)


@given(words, words, st.sampled_from([["a", "bb"], ["d", "a", "ccc", "never"]]))
def test_each_class_is_scored_as_scikit_learn_does(truth, predicted, labels):
    ours = per_class(np.array(truth), np.array(predicted), np.array(labels))
    theirs = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    for column, values in zip(("precision", "recall", "f1", "cells"), theirs, strict=True):
        assert ours[column].tolist() == values.tolist()
