"""What sweeps declare not to be as in their papers: shown, documented, and true of the sweeps."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from analysis.conclusion import preregistered_or_why, write_report
from analysis.origins import unequal
from analysis.published import also_of_variants, published
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.fidelity import Difference, origins, page
from orchestrator.known_sweeps import find_sweep, sweep_names
from orchestrator.manifests import write_manifest
from orchestrator.options import parsed
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Comparison, Sweep
from search_spaces.spaces import pretrained
from trainables.protocols import Drawn

PAPERS = [name for name in sweep_names() if "2023/" in name]
STARTED_FROM = [f"boiarsky2023/{name}" for name in ("table1", "fig2", "fig4", "fig5", "macparland")]


def test_the_docs_have_the_table_that_sweeps_declare():
    """If this fails, write the tables anew: python -m orchestrator.fidelity."""
    docs = Path(__file__).parents[2] / "docs" / "fidelity.md"
    assert docs.read_text(encoding="utf-8").endswith(page() + "\n")


@pytest.mark.parametrize("name", PAPERS)
def test_every_sweep_of_a_paper_says_what_is_not_as_there(name):
    sweep = find_sweep(name)
    assert sweep.differences
    assert len(set(sweep.differences)) == len(sweep.differences)
    for one in sweep.differences:
        assert one.item
        assert one.paper
        assert one.sweep
        words = f"{one.sweep} {one.instead}"
        for arm in re.findall(r"arms=([\w/]+)", words):  # what it names can be asked for
            assert set(sweep.models) < set(sweep.changed({"arms": arm}).models)


@pytest.mark.parametrize("name", STARTED_FROM)
def test_scbert_may_start_from_a_pretraining_like_the_authors(name):
    sweep = find_sweep(name)
    (way,) = {one.instead for one in sweep.differences if "weights" in one.item}
    asked = sweep.changed(parsed([way]))
    new = set(asked.models) - set(sweep.models)
    before, after = origins(sweep), origins(asked)
    assert new
    assert {one["made"] for one in before.values()} == {"published"}
    assert {(after[arm]["made"], after[arm]["dataset"]) for arm in new} == {("here", "panglao")}
    assert {after[arm]["params"]["epochs"] for arm in new} == {17}
    kinds = [
        {after[arm]["made"] for arm in (one.a, one.b) if arm in after} for one in asked.analysis
    ]
    assert all(len(kind) == 1 for kind in kinds)  # no question crosses two pretrainings


def test_table_2_compares_pretrainings_of_one_origin():
    sweep = find_sweep("boiarsky2023/table2")
    known = origins(sweep)
    assert known["scbert"]["made"] == known["scbert/no_gene2vec"]["made"] == "here"
    assert not any(unequal(one.a, one.b, known) for one in sweep.analysis)
    mixed = sweep.changed({"arms": "scbert/published_weights"})
    said = unequal("scbert/published_weights", "scbert/no_gene2vec", origins(mixed))
    assert "published weights (panglao)" in said
    assert "pretraining here (panglao, 17 epochs)" in said


def test_pretrainings_of_unequal_length_are_of_unequal_origin():
    def arm(**params):
        return {"weights": pretrained("scbert", weights="none", **params)}

    models = {"scbert": arm(epochs=17), "scbert/short": arm(epochs=6, gene2vec=False)}
    models["scbert/alike"] = arm(epochs=17, gene2vec=False)
    known = origins(Sweep("t", "annotation", models, ["toy"]))
    assert "6 epochs" in unequal("scbert", "scbert/short", known)
    assert unequal("scbert", "scbert/alike", known) == ""
    assert unequal("scbert", "logreg", known) == ""


def test_seeds_are_those_of_the_authors():
    seeds = {name: list(find_sweep(f"boiarsky2023/{name}").seeds) for name in ("table1", "table2")}
    runs = published("boiarsky2023/table2").query("statistic == 'run' and model != 'scbert'")
    assert {str(seed) for seed in seeds["table2"]} == set(runs["run"])
    full = published("boiarsky2023/table1").query("statistic == 'run' and model == 'scbert'")
    assert {str(seed) for seed in seeds["table1"][:7]} <= set(full["run"])
    assert seeds["table1"][7:] == [0, 4042, 5000]  # two few-shot runs, and one for 2021 again
    assert list(find_sweep("boiarsky2023/fig5").seeds) == seeds["table1"]


def test_what_only_the_user_knows_is_asked_for():
    with pytest.raises(ValueError, match=r"needs task\.without: name the batches"):
        plan("kedzierska2023/pancreas_unseen", "/nonexistent")
    given = find_sweep("kedzierska2023/pancreas_unseen").changed({"task.without": ["celseq"]})
    assert given.task_params["without"] == ["celseq"]


def test_an_arm_that_is_none_is_refused_by_name():
    with pytest.raises(LookupError, match="no further arm 'scbert/other'; it has: scbert/own"):
        find_sweep("boiarsky2023/table1").changed({"arms": "scbert/other"})


def test_published_numbers_are_those_of_a_variant_too():
    table = published("boiarsky2023/table2")
    both = also_of_variants(table, {"scbert/published_weights": "scbert"})
    n_rows = (table[["model", "against"]] == "scbert").any(axis=1).sum()
    assert len(both) == len(table) + n_rows
    assert (both["model"] == "scbert/published_weights").sum() == (table["model"] == "scbert").sum()


@pytest.fixture
def recorded(tmp_path):
    """A storage with made scores of a sweep whose arms start from unequal weights."""
    small = {"epochs": 1, "dim": 8, "depth": 1, "heads": 1, "dim_head": 8, "gene2vec": False}
    own = pretrained("scbert", weights="none", **small)
    sweep = Sweep(
        title="t",
        task="annotation",
        datasets=["toy"],
        seeds=range(3),
        models={"scbert": {"gene2vec": False}, "scbert/own": {**small, "weights": own}, "mean": {}},
        analysis=[Comparison("scbert", "scbert/own"), Comparison("scbert", "mean")],
        differences=[Difference("seeds", "ten", "three", "seeds=10")],
        name="s",
    )
    planned = plan(sweep, tmp_path)
    write_manifest(tmp_path, planned.manifest())
    for trial in planned.trials:
        score = 0.5 + 0.01 * trial.seed + 0.01 * len(trial.arm)
        cost, drawn = dict.fromkeys(COSTS, 0.1), asdict(Drawn("random"))
        done = Done(metrics={"test/macro_f1": score}, cost=cost, drawn=drawn)
        Ledger(tmp_path).commit(record_of(trial, done, "test"))
    return tmp_path


def test_a_comparison_of_unequal_pretrainings_says_so_and_the_report_too(recorded):
    rows, reasons = preregistered_or_why(recorded, "s")
    assert not reasons
    notes = rows.set_index("b")["note"]
    assert "weights of unequal origin: scbert from published weights" in notes["scbert/own"]
    assert "origin" not in notes["mean"]
    html = write_report(recorded, "s", None).read_text(encoding="utf-8")
    assert "weights of unequal origin" in html
    assert "Not as in the paper" in html
    assert "seeds=10" in html


def test_a_sweep_is_shown_with_the_choice_that_it_has_made(gauntlet):
    said = gauntlet("show", "boiarsky2023/table1").stdout
    assert "scbert: published weights (panglao)" in said
    assert "the paper's way: arms=scbert/own_pretraining" in said
