"""Posterior chances are baycomp's."""

import baycomp
import numpy as np
import pytest

from analysis.bayes import Posterior
from analysis.intervals import paired


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("n", [3, 10])
def test_chances_are_baycomps(margin, n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.82, 0.02, n), rng.normal(0.80, 0.02, n)
    # baycomp's runs=r takes n scores for r runs of n/r folds, so that 1/(n/r) are tested on
    theirs = baycomp.CorrelatedTTest.probs(b, a, rope=margin, runs=1)
    ours = Posterior(paired(a, b, (1 / n) / (1 - 1 / n))).chances(margin)
    assert (ours if margin else (ours[0], ours[2])) == pytest.approx(theirs)


def test_a_flat_prior_gives_the_corrected_t_tests_interval():
    a, b = np.array([0.8, 0.83, 0.81]), np.array([0.7, 0.75, 0.78])
    t = paired(a, b, 0.25)
    assert Posterior(t).interval() == t.interval()
    assert 2 * min(Posterior(t).chances(0.0)[::2]) == pytest.approx(t.p)
