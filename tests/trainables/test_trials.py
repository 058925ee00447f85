"""Trial ids: stable, complete, and blind to how a trial is written."""

import json
from pathlib import Path

import pytest

from trainables.cells import open_cells, prepare
from trainables.protocols import NotApplicable
from trainables.trial import Trial

GOLDEN = Path(__file__).parent / "golden_ids.json"
PBMC = "pbmc68k_reduced"
NAMED = {
    "logreg": Trial("logreg", "annotation", PBMC, 0),
    "logreg C=1 f=0.1 seed 3": Trial("logreg", "annotation", PBMC, 3, 0.1, {"C": 1.0}),
    "pca+probe": Trial("pca+probe", "annotation", PBMC, 0),
    "pca+probe 10": Trial("pca+probe", "annotation", PBMC, 0, 1.0, {"embedder.n_components": 10}),
    "mean": Trial("mean", "annotation", PBMC, 0),
    "hvg clustering": Trial("hvg", "clustering", PBMC, 0),
}


def test_ids_are_those_of_the_golden_file():
    """A change here means that everybody's finished trials run again: raise a version instead,
    say why in the CHANGELOG, and write the new ids."""
    assert {name: trial.id for name, trial in NAMED.items()} == json.loads(GOLDEN.read_text())


def test_a_default_spelled_out_is_the_same_trial():
    assert Trial("pca+probe", "annotation", PBMC, 0, 1.0, {"C": 1.0}).id == NAMED["pca+probe"].id
    explicit = {"embedder.n_components": 50}
    assert Trial("pca+probe", "annotation", PBMC, 0, 1.0, explicit).id == NAMED["pca+probe"].id
    task = {"test": 0.2}
    assert Trial("mean", "annotation", PBMC, 0, task_params=task).id == NAMED["mean"].id


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"fraction": 0.5},
        {"model_params": {"C": 0.1}},
        {"task_params": {"test": 0.3}},
        {"dataset": "toy", "dataset_sha256": ""},
        {"dataset_sha256": "0" * 64},
        {"model": "mean"},
    ],
)
def test_whatever_decides_the_result_changes_the_id(other):
    assert Trial(**{**NAMED["logreg"].spec(), **other}).id != NAMED["logreg"].id


def test_a_trial_survives_json():
    for trial in NAMED.values():
        assert Trial(**json.loads(json.dumps(trial.spec()))).id == trial.id


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (lambda: Trial("logref", "annotation", PBMC, 0).id, "did you mean 'logreg'"),
        (lambda: Trial("logreg", "anotation", PBMC, 0).id, "did you mean 'annotation'"),
        (
            lambda: Trial("logreg", "annotation", "pbmc68k_redused", 0).id,
            "did you mean 'pbmc68k_reduced'",
        ),
        (lambda: Trial("logreg", "annotation", PBMC, 0, 1.0, {"c": 1}).id, "it has: C, Cs, folds"),
        (lambda: Trial("probe", "annotation", PBMC, 0).id, "'pca+probe'"),
        (lambda: Trial("pca+logreg", "annotation", PBMC, 0).id, "wraps nothing"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(trial, words):
    with pytest.raises(LookupError) as refused:
        trial()
    assert words in str(refused.value)


def test_a_model_without_the_capability_does_not_apply(ctx):
    words = "pca is an embedder, and annotation needs an annotator"
    with pytest.raises(NotApplicable, match=words):
        Trial("pca", "annotation", "toy", 0).run(ctx)


def test_a_task_without_labels_takes_no_fraction():
    with pytest.raises(ValueError, match="takes no fraction"):
        _ = Trial("pca", "clustering", "toy", 0, 0.5).id


def test_the_same_trial_gives_the_same_numbers(ctx):
    named = [("logreg", "annotation"), ("pca+probe", "annotation"), ("pca", "clustering")]
    for model, task in named:
        trial = Trial(model, task, "toy", 3)
        assert trial.run(ctx) == trial.run(ctx)


def test_prepared_cells_cannot_be_changed_by_a_trial(ctx):
    from trainables import catalog

    cells = open_cells(prepare(catalog.dataset("toy"), ctx.store))
    with pytest.raises(ValueError, match="read-only"):
        cells.X.data[0] = 7
