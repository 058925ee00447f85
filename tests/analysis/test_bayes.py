"""Posterior chances are baycomp's."""

import numpy as np
import pytest

from analysis.bayes import Posterior
from analysis.intervals import paired

BAYCOMP = {  # 1.0.3, CorrelatedTTest.probs(b, a, rope=margin, runs=1); it would install a `tests`
    (3, 0.0): (0.29417099592814033, 0.7058290040718597),
    (3, 0.01): (0.2379483846020263, 0.12366708532679116, 0.6383845300711826),
    (3, 0.05): (0.10714627100495852, 0.5650062629355189, 0.32784746605952253),
    (10, 0.0): (0.005906628266029612, 0.9940933717339704),
    (10, 0.01): (0.001117633911980207, 0.03302309252950553, 0.9658592735585143),
    (10, 0.05): (6.654389894368685e-06, 0.9736574799284293, 0.02633586568167634),
}


@pytest.mark.parametrize(("asked", "theirs"), BAYCOMP.items())
def test_chances_are_baycomps(asked, theirs):
    """One run of n folds, of which each tests on 1/n of the cells."""
    n, margin = asked
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.82, 0.02, n), rng.normal(0.80, 0.02, n)
    ours = Posterior(paired(a, b, (1 / n) / (1 - 1 / n))).chances(margin)
    assert (ours if margin else (ours[0], ours[2])) == pytest.approx(theirs)


def test_a_flat_prior_gives_the_corrected_t_tests_interval():
    a, b = np.array([0.8, 0.83, 0.81]), np.array([0.7, 0.75, 0.78])
    t = paired(a, b, 0.25)
    assert Posterior(t).interval() == t.interval()
    assert 2 * min(Posterior(t).chances(0.0)[::2]) == pytest.approx(t.p)
