"""scGPT's sweeps: the papers' grids, and small variants that go all the way."""

import dataclasses
from collections import Counter

import pytest

from orchestrator.execute import execute
from orchestrator.known_sweeps import find_sweep
from trainables import catalog

SWEEPS = [
    "boiarsky2023/fig3",
    "boiarsky2023/supp_table5",
    *(f"kedzierska2023/fig{n}" for n in (*range(2, 8), "_s2")),
]


def on_toy(name):
    """The paper's design on as many copies of cells that are always here."""
    sweep = find_sweep(name)
    toys = [dataclasses.replace(catalog.dataset("toy"), name=name) for name in sweep.datasets]
    return dataclasses.replace(sweep, datasets=toys)


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("scale", ["paper", "small"])
def test_every_arm_can_be_built(name, scale):
    sweep = on_toy(name) if scale == "paper" else find_sweep(name).changed({"scale": "small"})
    for trial in sweep.trials():
        assert isinstance(catalog.model(trial.model, trial.model_params), trial.the_task().needs), (
            trial.shown
        )


def test_the_grids_are_those_of_the_papers():
    """As the paper counts them: 150 of each model in figure 3, 60 from scratch in the table."""
    assert Counter(t.shown for t in on_toy("boiarsky2023/fig3").trials()) == {
        "scgpt": 150,
        "logreg": 150,
    }
    table = Counter(t.shown for t in on_toy("boiarsky2023/supp_table5").trials())
    assert table["scgpt/scratch"] == table["scgpt/scratch_frozen"] == 30
    datasets = {t.dataset for t in on_toy("kedzierska2023/fig5").trials()}
    assert datasets == {"pancreas_scib", "pbmc12k", "immune", "tabula_sapiens"}


def test_pretrained_and_fresh_go_all_the_way(tmp_path):
    """What figures 2 to 7 are made of: weights of an own trial, an embedding, bins given back."""
    changes = {"scale": "small", "datasets": ["toy"], "seeds": 1}
    found = {}
    for name in ("kedzierska2023/fig5", "kedzierska2023/fig7"):
        for trial in find_sweep(name).changed(changes).trials():
            record = execute(trial, tmp_path, code_version="")
            assert record["status"] == "ok", record["reason"]
            found[trial.task, trial.shown] = record["metrics"]
    guessed = found["pretraining", "scgpt/gep"]
    assert guessed["test/mse"] < 300  # 850 untrained, some 200 for a constant
    fresh, made = (found["reconstruction", f"scgpt/{arm}"] for arm in ("random", "gep"))
    assert made["mse"] < fresh["mse"] / 2
    assert found["reconstruction", "scgpt+average"]["skill"] == pytest.approx(0)
    assert found["reconstruction", "scgpt+average/one"]["mse"] == pytest.approx(
        made["constant/mse"], rel=1e-6
    )
    assert 0 < found["integration", "scgpt+cached"]["asw_label_batch"] <= 1
