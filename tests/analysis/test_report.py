"""The page says the verdict first, and carries all that it shows."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from analysis import report
from analysis.figures.differences import differences
from analysis.figures.few_shot import few_shot
from analysis.figures.style import colours, svg
from analysis.selection import choose_on_validation
from analysis.significance import compare
from tests.analysis.conftest import failures_table, sweep_table, zero_shot_table

PLAN = [
    {"a": "logreg", "b": "pca+probe", "metric": "test/macro_f1", "margin": 0.02},
    {"a": "logreg", "b": "scbert"},
]


@pytest.fixture
def page(tmp_path):
    table = sweep_table(lost={("pca+probe", 0.1, 0)})
    out = report(table, PLAN, tmp_path / "r.html", title="How many <cells>?", sweep="quickstart")
    return out.read_text(encoding="utf-8")


def test_the_verdict_is_a_sentence(page):
    assert "logreg beats pca+probe at 4 of 4 label shares on pbmc68k_reduced." in page
    assert page.index("logreg beats") < page.index("<table>")


def test_nothing_is_fetched(page):
    assert not re.search(r"""(src|href)\s*=\s*["'](?!\#)""", page)
    assert "url(" not in page.replace("url(#", "")
    assert "<script" not in page
    assert "@import" not in page


def test_what_went_wrong_is_told(page):
    assert "killed at 4.1 of 4.0 GiB" in page
    assert "no model &#39;scbert&#39; in the table" in page
    assert "Only logreg (3 candidates) was tuned" in page


def test_titles_are_text_and_no_markup(page):
    assert "How many &lt;cells&gt;?" in page


def test_the_machine_is_not_named(tmp_path):
    table = sweep_table(seeds=2).assign(hostname="secret-node")
    told = {"hostname": "secret-node", "ray": "2.59"}
    page = report(table, [], tmp_path / "r.html", title="t", sweep="s", manifest=told).read_text()
    assert "secret-node" not in page
    assert "2.59" in page


def test_a_zero_shot_sweep_has_a_page(tmp_path):
    plan = [{"a": "hvg", "b": "scgpt", "metric": "avg_bio"}]
    page = report(zero_shot_table(), plan, tmp_path / "r.html", title="t", sweep="s").read_text()
    assert "hvg beats scgpt on pbmc68k_reduced." in page
    assert "<svg" in page


@pytest.mark.parametrize("plan", [[], PLAN[:1]])
def test_a_sweep_of_failures_has_a_page(tmp_path, plan):
    page = report(failures_table(), plan, tmp_path / "r.html", title="t", sweep="s").read_text()
    assert "out_of_memory" in page


def test_undecided_sweeps_say_so(tmp_path):
    table = sweep_table(skill={"logreg": 0.806, "pca+probe": 0.81, "mean": 0.05})
    page = report(table, PLAN[:1], tmp_path / "r.html", title="t", sweep="s").read_text()
    assert "ndecided" in page


def test_the_same_table_gives_the_same_bytes(tmp_path, table):
    pages = [
        report(table, PLAN, tmp_path / name, title="t", sweep="s").read_bytes() for name in "ab"
    ]
    assert pages[0] == pages[1]


def test_figures_are_well_formed_and_take_the_pages_ink(table):
    best = choose_on_validation(table)
    for figure in (few_shot(best), differences(compare(table, "logreg", "mean"))):
        drawn = svg(figure)
        ElementTree.fromstring(drawn)
        assert "currentColor" in drawn


def test_a_model_keeps_its_colour():
    assert colours(["b", "a"]) == colours(["a", "b", "a"])


def test_importing_analysis_loads_no_statistics():
    code = "import sys, analysis; print({'pandas', 'matplotlib', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_package_offers_functions_whatever_was_imported_first():
    code = "import analysis.report, analysis; print(callable(analysis.report))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
