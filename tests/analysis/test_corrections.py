"""Corrections for many questions are those of statsmodels, which takes longer to say them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from analysis.corrections import CORRECTIONS


@pytest.mark.parametrize(
    ("name", "theirs"), [("holm", "holm"), ("benjamini-hochberg", "fdr_bh"), ("none", None)]
)
@settings(max_examples=10)
@given(p=st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.05]), min_size=1, max_size=30))
def test_as_statsmodels_has_it(name, theirs, p):
    expected = multipletests(p, method=theirs)[1] if theirs else p
    np.testing.assert_allclose(CORRECTIONS[name](np.array(p)), expected, atol=1e-12)
