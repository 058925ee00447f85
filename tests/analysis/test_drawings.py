"""The figures of a report as files, the critical-difference diagram, and parity."""

from xml.etree import ElementTree

import pytest

from analysis import report
from tests.analysis.conftest import sweep_table
from tests.analysis.test_ranking import many_datasets

PNG = b"\x89PNG\r\n"
ONE = {"logreg": [{}], "pca+probe": [{}], "mean": [{}]}
PLAN = [{"a": "logreg", "b": "pca+probe"}]


def page_of(table, tmp_path, plan=(), **changes):
    about = {"title": "t", "sweep": "s", **changes}
    return report(table, plan, tmp_path / "r.html", **about).read_text()


def test_every_figure_of_the_page_is_written_twice(tmp_path):
    page = page_of(sweep_table(), tmp_path, PLAN, figures=tmp_path / "f")
    files = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert files == sorted(
        f"{stem}.{kind}" for stem in ("annotation-by-labels", "differences")
        for kind in ("png", "svg")
    )  # fmt: skip
    assert page.count("<figure") == len(files) / 2
    for path in (tmp_path / "f").iterdir():
        if path.suffix == ".svg":
            ElementTree.parse(path)
        else:
            assert path.read_bytes().startswith(PNG)


def test_arms_are_ranked_over_data_sets(tmp_path):
    page = page_of(many_datasets(n=12), tmp_path)
    assert "Mean ranks over 12 data sets" in page
    assert "critical difference" in page


def test_label_shares_of_one_data_set_are_no_data_sets(tmp_path):
    assert "Mean ranks" not in page_of(sweep_table(), tmp_path)


def test_controls_are_not_ranked(tmp_path):
    controls = {"controls": {"ada": "floor", "bob": "floor"}}
    table = many_datasets(n=3)
    assert "Mean ranks over 3 data sets" in page_of(table, tmp_path)
    assert "Mean ranks" not in page_of(table, tmp_path, manifest=controls)


@pytest.mark.parametrize(("shares", "told"), [((0.1, 1.0), True), ((1.0,), False)])
def test_cells_to_parity_are_told_where_there_are_curves(tmp_path, shares, told):
    table = sweep_table(fractions=shares, candidates=ONE)
    page = page_of(table, tmp_path, PLAN)
    assert ("How many labels to be as good?" in page) is told
    assert ("not with any" in page) is told  # the worse one never reaches the better one
