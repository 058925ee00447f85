"""Sweeps: expanded before anything runs, the same way every time."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.configurations import expanded
from orchestrator.execute import COSTS, Done, record_of
from orchestrator.known_sweeps import find_sweep
from orchestrator.planning import plan
from orchestrator.records import Ledger
from orchestrator.sweep import Sweep
from search_spaces.spaces import choice, grid, loguniform, randint, uniform
from trainables import catalog


def sweep(**changes):
    base = {"models": {"mean": {}}, "datasets": ["toy"], "seeds": [0]}
    return Sweep(title="a test", task="annotation", **{**base, **changes})


def test_a_design_is_the_product_of_its_axes():
    models = {"logreg": {"C": grid([0.1, 1]), "folds": grid([3, 5])}, "mean": {}}
    trials = sweep(models=models, seeds=range(3), fractions=[0.5, 1.0]).trials()
    assert len(trials) == len({t.id for t in trials}) == 3 * 2 * (4 + 1)


def test_draws_are_shared_by_data_sets_seeds_and_fractions():
    space = {"C": loguniform(1e-3, 1e3), "folds": randint(3, 8)}
    design = sweep(models={"logreg": space}, seeds=range(3), fractions=[0.5, 1], draws=4)
    per_seed = {}
    for trial in design.trials():
        per_seed.setdefault((trial.seed, trial.fraction), []).append(
            tuple(trial.model_params.items())
        )
    assert len(per_seed) == 6
    assert len({tuple(drawn) for drawn in per_seed.values()}) == 1
    assert len(set(per_seed[0, 1])) == 4


@given(st.integers(1, 20))
def test_more_draws_begin_with_the_same_ones(draws):
    space = {"C": loguniform(1e-3, 1e3), "k": choice(["a", "b"])}
    assert expanded("logreg", space, draws) == expanded("logreg", space, 20)[:draws]


def test_another_parameter_leaves_the_draws_of_the_first():
    one = expanded("logreg", {"C": uniform(0, 1)}, 5)
    two = expanded("logreg", {"C": uniform(0, 1), "tol": uniform(0, 1)}, 5)
    assert [d["C"] for d in one] == [d["C"] for d in two]


@given(st.integers(0, 1000))
def test_draws_stay_inside_their_bounds(draws):
    from trainables.seeds import stream

    rng = stream(draws, "test")
    assert 2 <= uniform(2, 3).sample(rng) < 3
    assert 1e-3 <= loguniform(1e-3, 10).sample(rng) < 10
    assert randint(3, 5).sample(rng) in (3, 4)
    assert choice(["a", "b"]).sample(rng) in ("a", "b")


def test_spaces_become_ray_tunes_own():
    from ray import tune

    assert grid([1, 2]).to_ray() == tune.grid_search([1, 2])
    assert type(loguniform(1, 2).to_ray()) is type(tune.loguniform(1, 2))
    assert choice([1, 2]).to_ray().categories == [1, 2]
    assert randint(1, 5).to_ray().upper == 5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: grid([]),
        lambda: choice([]),
        lambda: uniform(1, 1),
        lambda: loguniform(0, 1),
        lambda: randint(5, 2),
    ],
)
def test_empty_spaces_are_refused_when_written(wrong):
    with pytest.raises(ValueError, match=r"\("):
        wrong()


def test_a_sweep_can_be_changed_in_words():
    changed = find_sweep("quickstart").changed(
        {"seeds": 2, "fractions": [1.0], "datasets": "toy", "logreg.C": 0.5, "task.test": 0.3}
    )
    trials = changed.trials()
    assert {t.seed for t in trials} == {0, 1}
    assert {t.dataset for t in trials} == {"toy"}
    assert {t.task_params["test"] for t in trials} == {0.3}
    assert {t.model_params["C"] for t in trials if t.model == "logreg"} == {0.5}


def test_a_users_own_file_is_a_sweep(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from orchestrator import Sweep\n"
        "SWEEP = Sweep(title='t', task='annotation', models={'mean': {}}, datasets=['toy'])\n"
    )
    assert find_sweep(str(path)).name == "mine"
    path.write_text("SWEEP = 1")
    with pytest.raises(LookupError, match="defines no sweep"):
        find_sweep(str(path))


def test_a_sweeps_small_variant_is_asked_for_by_its_scale():
    small = sweep(seeds=range(3))
    paper = dataclasses.replace(sweep(datasets=["zheng68k"], small=small), name="table9")
    assert paper.changed({"scale": "paper"}) == paper
    chosen = paper.changed({"seeds": 2, "scale": "small"})
    assert chosen.name == "table9-small"
    assert chosen.datasets == ["toy"]
    assert len(chosen.trials()) == 2


def test_a_users_own_cells_go_through_the_small_variant_too():
    own = catalog.dataset("pbmc68k_reduced")
    paper = sweep(datasets=["zheng68k"], small=sweep()).on(own, name="table9-mine")
    assert {t.dataset for t in paper.changed({"scale": "small"}).trials()} == {own.name}


@pytest.mark.parametrize(("scale", "there"), [("small", "it has: paper"), ("tiny", "paper, small")])
def test_a_scale_that_is_not_there_is_refused(scale, there):
    paper = sweep(small=sweep() if scale == "tiny" else None)
    with pytest.raises(LookupError, match=f"no scale '{scale}'.*{there}$"):
        paper.changed({"scale": scale})


def test_what_is_unknown_goes_first_and_then_the_longest(tmp_path):
    """So that the sweep does not end waiting for one long trial."""
    planned = plan("quickstart", tmp_path, seeds=2)
    seconds = {"logreg": 5.0, "mean": 1.0}
    for trial in planned.trials:
        if trial.seed == 0 and trial.model in seconds:
            done = Done(cost=dict.fromkeys(COSTS, seconds[trial.model]))
            Ledger(tmp_path).commit(record_of(trial, done, "test"))
    models = [trial.model for trial in plan("quickstart", tmp_path, seeds=2).longest_first()]
    assert list(dict.fromkeys(models)) == ["pca+probe", "logreg", "mean"]
    assert models == sorted(models, key=["pca+probe", "logreg", "mean"].index)
