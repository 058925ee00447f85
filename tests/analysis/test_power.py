"""Seeds needed are those at which the test would find the difference."""

import numpy as np
import pytest

from analysis.power import seeds_needed


@pytest.mark.parametrize(("shift", "expected"), [(0.5, 34), (1.0, 10), (2.0, 5)])
def test_paired_seeds_are_those_of_the_tables(shift, expected):
    """Cohen 1988, the paired t test at 5% and 80% power: 34, 10 and 5 pairs."""
    noise = np.array([-1.0, 1.0, -1.0, 1.0])
    noise /= noise.std(ddof=1)
    assert seeds_needed("paired", noise + shift, np.zeros(4)) == expected


def test_two_samples_need_64_each_for_a_medium_effect():
    """Cohen 1988, table 2.4.1."""
    noise = np.array([-1.0, 1.0, -1.0, 1.0])
    noise /= noise.std(ddof=1)
    assert seeds_needed("student", noise + 0.5, noise) == 64
    assert seeds_needed("welch", noise + 0.5, noise) == 64


def test_overlapping_splits_set_a_floor():
    noise = np.array([-1.0, 1.0, -1.0, 1.0])
    noise /= noise.std(ddof=1)
    assert seeds_needed("nadeau-bengio", noise + 1.0, np.zeros(4), floor=0.25) is None
    assert seeds_needed("nadeau-bengio", noise + 2.0, np.zeros(4), floor=0.25) > 5


def test_wilcoxon_needs_as_many_as_can_reach_alpha():
    tiny = np.array([-1e-3, 1e-3, -1e-3, 1e-3])
    assert seeds_needed("wilcoxon", tiny + 1, np.zeros(4)) == 6
