"""The page says the verdict first, and carries all that it shows."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from analysis import report
from analysis.claims import sentences
from analysis.figures.differences import differences
from analysis.figures.few_shot import few_shot
from analysis.figures.maps import maps
from analysis.figures.style import colours, svg
from analysis.results import kept
from analysis.selection import choose_on_validation
from analysis.significance import compare
from tests.analysis.conftest import (
    failures_table,
    scores_table,
    sweep_table,
    zero_shot_table,
)
from tests.analysis.test_ranking import many_datasets

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
    assert not re.search(r"""(src|href)\s*=\s*["'](?!\#|data:image/png)""", page)
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


def test_without_comparisons_it_is_about_the_tasks_own_metric(tmp_path):
    told = {"headline": "avg_bio"}
    out = report(zero_shot_table(), [], tmp_path / "r.html", title="t", sweep="s", manifest=told)
    assert "Clustering: AvgBIO of each model." in out.read_text()


def test_errors_say_that_less_is_better(tmp_path):
    table = zero_shot_table()
    both = pd.concat([table, table[table["metric"] == "nmi"].assign(metric="pcr")])
    pages = [
        report(some, [], tmp_path / "r.html", title="t", sweep="s").read_text(encoding="utf-8")
        for some in (table, both)
    ]
    assert "↓" not in pages[0]
    assert "PCR ↓</th>" in pages[1]
    assert "↓: less is better." in pages[1]


def test_a_zero_shot_sweep_has_a_page(tmp_path):
    plan = [{"a": "hvg", "b": "scgpt", "metric": "avg_bio"}]
    page = report(zero_shot_table(), plan, tmp_path / "r.html", title="t", sweep="s").read_text()
    assert "hvg beats scgpt on pbmc68k_reduced." in page
    assert "<svg" in page


def test_seeds_that_part_in_two_groups_are_shown_with_their_curves(tmp_path):
    two = [0.60, 0.65, 0.61, 0.62, 0.74, 0.75, 0.74, 0.75, 0.74, 0.75]
    table = scores_table(two, list(np.linspace(0.7, 0.72, 10)), metric="test/accuracy")
    told = [{"epoch": e, "valid/accuracy": 0.1 * e} for e in (1.0, 2.0, 3.0)]
    plan = [{"a": "a", "b": "b", "metric": "test/accuracy"}]
    page = report(
        *(table, plan, tmp_path / "r.html"),
        **{"title": "t", "sweep": "s", "epochs": dict.fromkeys(table["trial_id"], told)},
    ).read_text()
    assert "Learning curves on pbmc68k_reduced" in page
    lines = page[page.index("How far do seeds scatter?") :].split("<tr>")[2:4]
    assert [">yes<" in line for line in lines] == [True, False]


@pytest.fixture
def points():
    """Three models' cells on a plane; a twentieth type, and two batches."""
    rng = np.random.default_rng(0)
    cells = pd.DataFrame(
        {
            "x": rng.normal(size=300),
            "y": rng.normal(size=300),
            "cell_type": [f"type {i % 20}" for i in range(300)],
            "batch": [f"batch {i % 2}" for i in range(300)],
        }
    )
    about = {"task": "clustering", "dataset": "pbmc68k_reduced", "seed": 0}
    return pd.concat([cells.assign(model=m, **about) for m in ("hvg", "pca", "scgpt")])


def test_maps_are_coloured_by_type_and_by_batch(points):
    drawn = svg(maps(points))
    ElementTree.fromstring(drawn)
    assert drawn.count("<image") == 6  # points are pictures, and all else is shapes
    assert drawn.count(">hvg<") == 2
    assert ">type 2<" in drawn
    assert ">4 smaller ones<" in drawn
    assert ">batch 1<" in drawn
    alone = svg(maps(points.assign(batch="one")))
    assert alone.count("<image") == 3


def test_what_trials_kept_is_found_once_for_each_model(tmp_path, points):
    table = zero_shot_table()
    (tmp_path / "sweeps").mkdir()
    for trial in table.query("seed > 0 and model != 'pca'")["trial_id"].unique():
        (tmp_path / "artifacts" / trial).mkdir(parents=True)
        own = points[["x", "y", "cell_type", "batch"]].head(4).assign(x=int(trial[-2:], 16))
        own.to_parquet(tmp_path / "artifacts" / trial / "umap.parquet")
    found = kept(table, "umap.parquet", tmp_path)
    assert found.groupby("model").size().to_dict() == {"hvg": 4, "scgpt": 4}
    assert set(found["seed"]) == {1}  # the lowest that kept one
    assert set(found["dataset"]) == {"pbmc68k_reduced"}
    assert kept(table, "nothing.parquet", tmp_path).empty


def test_controls_are_named_and_scores_are_read_between_them(tmp_path, points):
    table = zero_shot_table()
    controls = {"hvg": "floor", "pca": "ceiling"}
    page = report(
        *(table, [], tmp_path / "r.html"),
        title="t", sweep="s", manifest={"controls": controls}, points=points,
    ).read_text()  # fmt: skip
    assert "pca (ceiling)" in page
    assert "hvg (floor)" in page
    assert "rescaled AvgBIO" in page
    assert "1.000 ±" in page
    assert "UMAP of each model" in page
    assert page.count("<image") == 2  # scgpt by type and by batch: controls are not drawn
    test_nothing_is_fetched(page)


@pytest.mark.parametrize("plan", [[], PLAN[:1]])
def test_a_sweep_of_failures_has_a_page(tmp_path, plan):
    page = report(failures_table(), plan, tmp_path / "r.html", title="t", sweep="s").read_text()
    assert "out_of_memory" in page


def test_a_note_is_said_once_of_all_its_label_shares(tmp_path):
    table = sweep_table(lost={("pca+probe", share, 0) for share in (0.1, 0.5)})
    out = report(table, PLAN[:1], tmp_path / "r.html", title="t", sweep="s")
    page = out.read_text(encoding="utf-8")
    assert page.count("1 of 5 seeds left out") == 1
    assert "It is said of logreg and pca+probe, 10%, 50% of labels." in page


def test_no_figure_is_so_wide_that_its_words_shrink():
    names = [f"m{i}" for i in range(4)]
    rows = compare(sweep_table(), "logreg", "mean")
    many = pd.concat([rows.assign(a=name) for name in names])
    assert differences(many).get_figwidth() <= 8.6
    assert len(differences(many).axes) == 4


def test_undecided_sweeps_say_so(tmp_path):
    table = sweep_table(skill={"logreg": 0.806, "pca+probe": 0.81, "mean": 0.05})
    page = report(table, PLAN[:1], tmp_path / "r.html", title="t", sweep="s").read_text()
    assert "ndecided" in page
    assert "; ." not in page


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


def test_many_data_sets_share_a_sentence():
    rows = compare(many_datasets(n=7, seeds=3), "di", "ada").assign(verdict="undecided")
    rows.loc[rows["dataset"] <= "set 01", "verdict"] = "better"
    [one] = sentences(rows)
    assert one["verdict"] == "mixed"
    assert one["claim"] == (
        "di beats ada on 2 of 7 data sets (set 00, set 01); undecided between di and ada on 5 of 7"
        " data sets (set 02, set 03, set 04 and 2 more)."
    )
    assert "Differences in macro F1 are " in one["detail"]
    assert len(sentences(rows[rows["dataset"] <= "set 02"])) == 3


def test_what_is_undecided_among_others_says_how_it_stands_alone():
    a = np.array([0.80, 0.81, 0.84, 0.80, 0.83])
    rows = compare(scores_table(a, a - [0.02, 0.03, 0.01, 0.02, 0.04]), "a", "b", test="paired")
    rows = rows.assign(verdict="undecided", p_adjusted=0.2)
    assert rows["p"][0] < 0.05
    assert "asked alone, p = " in sentences(rows)[0]["detail"]
    assert "takes about 14 seeds to find" in sentences(rows.assign(seeds_needed=14))[0]["detail"]
