"""scBERT's files and settings: what is refused, and what names a trial."""

import os
import pickle
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.trainables.tiny_scbert import CELLS, PRETRAINING, QUICK, run
from trainables import catalog
from trainables.networks.weights import recipe
from trainables.protocols import Context, NotApplicable
from trainables.store import Store
from trainables.trial import Trial


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """The weights of a short pretraining."""
    home = tmp_path_factory.mktemp("pretrained")
    ctx = Context(seed=0, scratch=home, store=Store(home / "store"))
    trial = run(ctx, "pretraining", **{**PRETRAINING, "epochs": 1})[-1]
    return ctx.store.home(recipe(trial.id))


@pytest.fixture
def folder(pretrained, tmp_path):
    """A copy of them, to be damaged."""
    return Path(shutil.copytree(pretrained, tmp_path / "mine"))


def damaged(home, change):
    (file,) = home.glob("*.pth")
    state = torch.load(file, weights_only=True)
    change(state["model_state_dict"])
    torch.save(state, file)


class Code:
    def __reduce__(self):
        return os.system, ("true",)


def no_key(home):
    damaged(home, lambda state: state.pop("norm.weight"))


def an_extra_gene(home):
    listed = home / "genes.txt"
    listed.write_text(listed.read_text() + "ONE_MORE\n")


def a_wrong_dimension(home):
    damaged(home, lambda state: state.update({"token_emb.weight": torch.zeros(7, 13)}))


def code(home):
    (file,) = home.glob("*.pth")
    file.write_bytes(pickle.dumps({"model_state_dict": Code()}))


def no_list(home):
    (home / "genes.txt").unlink()


def two_files(home):
    torch.save({}, home / "another.pth")


REFUSED = {
    no_key: r"lacks norm\.weight",
    an_extra_gene: r"has in another shape pos_emb\.emb\.weight \(101, 12\) instead of \(102, 12\)",
    a_wrong_dimension: r"token_emb\.weight \(7, 13\) instead of \(7, 12\)",
    code: r"code",
    no_list: r"has no gene list: put genes\.txt there",
    two_files: r"must hold one file of weights .* holds another\.pth, scbert_pretrained\.pth",
}


@pytest.mark.parametrize("damage", REFUSED, ids=lambda damage: damage.__name__)
def test_files_that_do_not_fit_are_refused_in_a_sentence_with_exit_2(
    folder, damage, tmp_path, monkeypatch, capsys
):
    from orchestrator.cli import main

    damage(folder)
    sweep = tmp_path / "mine.py"
    params = {"weights": str(folder), **QUICK}
    sweep.write_text(
        "from orchestrator import Sweep\n"
        f"SWEEP = Sweep(title='t', task='annotation', models={{'scbert': {params!r}}},"
        " datasets=['pbmc68k_reduced'], seeds=[0])\n"
    )
    storage = str(tmp_path / "runs")
    monkeypatch.setattr(sys, "argv", ["gauntlet", "run", str(sweep), "--storage", storage])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(REFUSED[damage], said), said
    assert "Traceback" not in said


def test_settings_that_mean_nothing_are_refused_when_named():
    for wrong, sentence in [
        ({"trained": "first"}, "no trained 'first'; it has: last, second_to_last, all"),
        ({"weights": "none"}, "needs to be told where genes lie"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            catalog.model("scbert", wrong)


def test_published_weights_that_were_not_fetched_are_no_failure(blood, monkeypatch, tmp_path):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    with pytest.raises(NotApplicable, match="panglao"):
        catalog.model("scbert", {}).check(blood)


def test_the_content_of_weights_names_a_trial_and_not_their_place(folder, tmp_path):
    def named(place):
        return Trial("scbert", "annotation", CELLS, 0, model_params={"weights": str(place)}).id

    first = named(folder)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert named(moved) == first
    damaged(moved, lambda state: state["norm.bias"].add_(1))
    assert named(moved) != first
    (file,) = folder.glob("*.pth")
    by_file = named(file)
    an_extra_gene(folder)
    assert named(file) != by_file
    assert named(folder) != first
