"""Pretraining runs before what starts from it, once, and arms of one model stay apart."""

import json
import textwrap

import pytest

from analysis import results
from orchestrator.planning import plan, stages, with_needs
from orchestrator.sweep import Sweep
from search_spaces.spaces import grid, pretrained
from trainables import catalog
from trainables.datasets.toy import Toy

TINY = {"dim": 8, "depth": 2, "heads": 2, "dim_head": 4, "ff_mult": 1, "batch": 32}
MADE = {"weights": "none", "gene2vec": False, "n_genes": 20, "epochs": 1, **TINY}
USED = {"gene2vec": False, "epochs": 1, **TINY}


def sweep(models, **changes):
    base = {"datasets": ["toy"], "seeds": [0, 1], "name": "chained"}
    return Sweep(title="a test", task="annotation", models=models, **{**base, **changes})


ARMS = {
    "scbert": {"weights": pretrained("scbert", **MADE), **USED},
    "scbert/scratch": {"weights": "none", "n_genes": 20, **USED},
    "mean": {},
}


def test_pretraining_comes_first_once_a_seed():
    trials = sweep(ARMS, fractions=[0.5, 1.0]).trials()
    made = [trial for trial in trials if trial.task == "pretraining"]
    assert [trial.seed for trial in made] == [0, 1]
    first, second = stages(trials)
    assert {trial.id for trial in made} <= {trial.id for trial in first}
    starts = {next(iter(trial.needs())) for trial in second}
    assert starts == {trial.id for trial in made}
    assert len(second) == 4, "both fractions of a seed start from the same weights"
    assert {trial.shown for trial in trials} == {"scbert", "scbert/scratch", "mean"}


def test_a_fixed_seed_or_data_set_pretrains_once_for_all():
    one = {"scbert": {"weights": pretrained("scbert", seed=7, **MADE), **USED}}
    made = [t for t in sweep(one).trials() if t.task == "pretraining"]
    assert [trial.seed for trial in made] == [7]
    other = {"scbert": {"weights": pretrained("scbert", dataset="pbmc68k_reduced", **MADE)}}
    made = [t for t in sweep(other).trials() if t.task == "pretraining"]
    assert {trial.dataset for trial in made} == {"pbmc68k_reduced"}


def test_a_sweep_knows_the_cells_that_only_pretraining_meets(tmp_path):
    mine = Toy(n_cells=90, n_genes=60, name="mine")
    weights = grid([pretrained("scbert", dataset=mine, **MADE), "none"])
    planned = plan(sweep({"scbert": {"weights": weights, **USED}}), tmp_path)
    assert planned.sources() == {"toy": catalog.dataset("toy"), "mine": mine}


def test_pretraining_may_go_on_from_pretraining():
    again = pretrained("scbert", weights=pretrained("scbert", **MADE), gene2vec=False, epochs=2)
    trials = sweep({"scbert": {"weights": again, **USED}}, seeds=[0]).trials()
    assert [len(stage) for stage in stages(trials)] == [1, 1, 1]
    assert with_needs(trials[-1:], trials) == trials
    assert with_needs(trials[:1], trials) == trials[:1]


def test_what_a_sweep_splits_by_its_pretraining_splits_by():
    chained = sweep(ARMS, task_params={"protocol": "batch"})
    assert {t.task_params["protocol"] for t in chained.trials()} == {"batch"}


def test_two_arms_of_the_same_trials_are_refused():
    with pytest.raises(ValueError, match=r"'pca\+probe' and 'pca\+probe/again' .* same trials"):
        sweep({"pca+probe": {}, "pca+probe/again": {}}).trials()
    grids = sweep({"pca+probe": {"C": grid([1.0, 1.0])}}, seeds=[0])
    assert len(grids.trials()) == 1, "a grid that names a value twice asks for it once"


@pytest.fixture(scope="module")
def ran(gauntlet, tmp_path_factory):
    """The arms, run by the command from a file of one's own."""
    place = tmp_path_factory.mktemp("chained")
    path = place / "chained.py"
    path.write_text(
        textwrap.dedent(f"""
        from orchestrator import Comparison, Sweep
        from search_spaces.spaces import pretrained
        TINY = {TINY!r}
        MADE = {MADE!r}
        USED = {USED!r}
        SWEEP = Sweep(
            title="chained", task="annotation", datasets=["toy"], seeds=[0, 1],
            models={{
                "scbert": {{"weights": pretrained("scbert", **MADE), **USED}},
                "scbert/scratch": {{"weights": "none", "n_genes": 20, **USED}},
                "mean": {{}},
            }},
            analysis=[Comparison("scbert", "scbert/scratch", metric="test/accuracy")],
        )
        """)
    )
    storage = place / "runs"
    plan = json.loads(gauntlet("plan", path, "--storage", storage, "--json").stdout)
    assert plan["stages"] == 2
    return path, storage, gauntlet("run", path, "--storage", storage).stdout


def test_arms_are_compared_and_told_by_how_they_were_made(ran):
    _, storage, said = ran
    assert "scbert minus scbert/scratch, toy" in said
    table = results("chained", storage)
    assert set(table["status"]) == {"ok"}
    arms = table[table["task"] == "annotation"].groupby("model")["model_params"].nunique()
    assert arms.to_dict() == {"mean": 1, "scbert": 1, "scbert/scratch": 1}
    told = table.query("model == 'scbert' and task == 'annotation'")["model_params"].iloc[0]
    assert json.loads(told)["weights"].startswith('pretrained scbert on toy {"batch": 32')


def test_again_nothing_runs_and_one_arm_may_run_alone(ran, gauntlet, tmp_path):
    path, storage, _ = ran
    again = gauntlet("run", path, "--storage", storage, "--json")
    assert json.loads(again.stdout)["ran"] == 0
    only = gauntlet("run", path, "seeds=1", "--only", "scbert/scratch", "--storage", tmp_path)
    assert "1 trials run" in only.stdout or "1 trial run" in only.stdout
