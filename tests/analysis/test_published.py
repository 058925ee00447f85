"""The papers' own numbers, out of the papers' own runs."""

import csv

import numpy as np
import pytest
from scipy import stats

from analysis.intervals import student
from analysis.published import (
    HERE,
    interval_as_published,
    published,
    published_sweeps,
    sd_of_interval,
)
from orchestrator.known_sweeps import find_sweep, sweep_names


def runs(sweep, model, metric, fraction=1.0):
    table = published(sweep)
    asked = (table["model"] == model) & (table["metric"] == metric)
    asked &= (table["fraction"] == fraction) & (table["statistic"] == "run")
    return table.loc[asked, "value"].to_numpy()


def printed(sweep, statistic, model, metric, fraction=1.0, against=""):
    table = published(sweep)
    asked = (table["model"] == model) & (table["metric"] == metric)
    asked &= (table["against"] == against) & (table["fraction"] == fraction)
    (value,) = table.loc[asked & (table["statistic"] == statistic), "value"]
    return value


def digits(found, expected):
    """To how many significant digits two numbers agree."""
    return -np.log10(max(abs(found / expected - 1), 1e-17))


@pytest.mark.parametrize(
    ("metric", "fraction", "least"),
    [
        ("test/accuracy", 0.1, 12),
        ("test/accuracy", 0.25, 12),
        ("test/accuracy", 0.5, 12),
        ("test/accuracy", 0.75, 12),  # one of two triples that the printed digits allow
        ("test/macro_f1", 0.1, 4.8),  # the runs of logistic regression have four decimals
        ("test/macro_f1", 0.25, 3.3),
        ("test/macro_f1", 0.5, 2.8),
        ("test/macro_f1", 0.75, 2.1),
    ],
)
def test_figure_2s_p_values_follow_from_its_runs(metric, fraction, least):
    a, b = (runs("boiarsky2023/fig2", model, metric, fraction) for model in ("scbert", "logreg"))
    expected = printed("boiarsky2023/fig2", "pvalue", "scbert", metric, fraction, "logreg")
    assert len(a) == len(b) == 3
    assert digits(student(a, b).p, expected) >= least


def table_2(metric, ablated):
    a, b = (runs("boiarsky2023/table2", arm, metric) for arm in ("scbert", f"scbert/{ablated}"))
    assert len(a) == len(b) == 10
    expected = printed("boiarsky2023/table2", "pvalue", "scbert", metric, 1.0, f"scbert/{ablated}")
    return student(a, b).p, expected


@pytest.mark.parametrize(
    ("metric", "ablated", "least"),
    [
        ("test/accuracy_hard", "no_gene2vec", 12),
        ("test/accuracy_hard", "no_pretraining", 12),
        ("test/f1_hard", "no_gene2vec", 4.7),
        ("test/f1_hard", "no_pretraining", 4.7),
    ],
)
def test_table_2s_p_values_of_hard_cells_follow_from_its_runs(metric, ablated, least):
    assert digits(*table_2(metric, ablated)) >= least


@pytest.mark.parametrize(
    ("metric", "ablated", "stored", "as_printed"),
    [
        ("test/accuracy", "no_pretraining", 0.3313, 0.3375),
        ("test/macro_f1", "no_pretraining", 0.5821, 0.5907),
        ("test/accuracy", "no_gene2vec", 0.003621, 0.003674),
        ("test/macro_f1", "no_gene2vec", 0.000861, 0.000872),
    ],
)
def test_table_2s_other_p_values_are_of_an_earlier_evaluation(metric, ablated, stored, as_printed):
    found, expected = table_2(metric, ablated)
    assert digits(found, stored) > 3
    assert digits(expected, as_printed) > 3
    assert 0.01 < abs(found / expected - 1) < 0.02


def test_the_earlier_evaluation_differs_by_eleven_cells():
    """Solved for from the two published t statistics: whole numbers of cells come out."""
    scbert = runs("boiarsky2023/table2", "scbert", "test/accuracy") * 13690
    assert scbert.sum() == pytest.approx(104_933)
    assert (scbert**2).sum() == pytest.approx(1_101_677_373)
    earlier_sum, earlier_squares = 104_922, 1_101_456_126
    for ablated in ("no_gene2vec", "no_pretraining"):
        other = runs("boiarsky2023/table2", f"scbert/{ablated}", "test/accuracy") * 13690
        pooled = (earlier_squares - earlier_sum**2 / 10 + other.var() * 10) / 18
        t = (earlier_sum / 10 - other.mean()) / np.sqrt(pooled / 5)
        where = ("boiarsky2023/table2", "tstat", "scbert", "test/accuracy", 1.0)
        assert digits(t, printed(*where, f"scbert/{ablated}")) > 9


INTERVALS = [
    ("boiarsky2023/table1", "scbert", "test/accuracy", 12),
    ("boiarsky2023/table1", "scbert", "test/macro_f1", 12),
    ("boiarsky2023/table1", "scbert", "test/accuracy_hard", 12),
    ("boiarsky2023/table1", "scbert", "test/f1_hard", 4),
    ("boiarsky2023/table2", "scbert/no_gene2vec", "test/accuracy", 12),
    ("boiarsky2023/table2", "scbert/no_gene2vec", "test/macro_f1", 4),
    ("boiarsky2023/table2", "scbert/no_pretraining", "test/accuracy", 12),
    ("boiarsky2023/table2", "scbert/no_pretraining", "test/macro_f1", 4),
    ("boiarsky2023/table2", "scbert/no_gene2vec", "test/accuracy_hard", 12),
    ("boiarsky2023/table2", "scbert/no_pretraining", "test/accuracy_hard", 12),
]


@pytest.mark.parametrize(("sweep", "model", "metric", "least"), INTERVALS)
def test_means_and_intervals_follow_from_the_runs(sweep, model, metric, least):
    values = runs(sweep, model, metric)
    halfwidth = printed(sweep, "ci95_halfwidth", model, metric)
    assert digits(values.mean(), printed(sweep, "mean", model, metric)) >= min(least, 6)
    assert digits(interval_as_published(values), halfwidth) >= least
    assert sd_of_interval(halfwidth, len(values)) == pytest.approx(values.std(ddof=1), rel=1e-3)


@pytest.mark.parametrize("dataset", ["ms", "pancreas", "myeloid"])
@pytest.mark.parametrize("metric", ["test/accuracy", "test/macro_f1"])
def test_figure_3s_p_values_at_all_labels_follow_from_means_and_intervals(dataset, metric):
    table = published("boiarsky2023/fig3").query("fraction == 1 and dataset == @dataset")
    table = table[table["metric"] == metric].set_index(["model", "statistic"])["value"]
    sd = {m: sd_of_interval(table[m, "ci95_halfwidth"], 10) for m in ("scgpt", "logreg")}
    error = np.sqrt((sd["scgpt"] ** 2 + sd["logreg"] ** 2) / 10)
    t = (table["scgpt", "mean"] - table["logreg", "mean"]) / error
    assert digits(2 * stats.t.sf(abs(t), 18), table["scgpt", "pvalue"]) > 2.9


@pytest.mark.parametrize("sweep", [n for n in sweep_names() if "2023/" in n])
def test_what_is_published_has_a_place_in_its_sweep(sweep):
    design = find_sweep(sweep)
    table = published(sweep)
    assert table.empty == (sweep not in published_sweeps())
    assert set(table["dataset"]) <= {*design.datasets, ""}
    assert set(table["fraction"]) <= set(design.fractions)
    assert {*table["model"], *table["against"]} <= {*design.models, ""}
    assert not table.duplicated().any()


def test_every_published_table_belongs_to_a_sweep():
    assert set(published_sweeps()) <= set(sweep_names())


def test_no_number_was_made_up(shared_data):
    """Each is, to the digit, one that was transcribed from the papers and notebooks."""
    there = set()
    for name in ("published.csv", "raw_runs.csv"):
        with (shared_data.parent / "published" / name).open() as file:
            there |= {
                (row["value"], row["source"].rpartition("/")[2]) for row in csv.DictReader(file)
            }
    for sweep in published_sweeps():
        with (HERE / f"{sweep}.csv").open() as file:
            for row in csv.DictReader(file):
                source = row["source"].replace("text, section ", "").rpartition("/")[2]
                assert any(row["value"] == v and s.endswith(source) for v, s in there), row
