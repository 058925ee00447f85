"""scBERT through its own doors: pretraining, fine-tuning, embedding."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainables.tiny_scbert import PRETRAINING, QUICK, run
from trainables.audit import Leak
from trainables.cells import rows
from trainables.models.scbert import ScBERT
from trainables.networks.weights import recipe
from trainables.protocols import Context
from trainables.seeds import stream
from trainables.store import Store


def split(cells):
    """Three parts; the test cells without labels."""
    order = stream(0, "test parts").permutation(cells.n_obs)
    parts = np.split(order, [400, 500])
    return [rows(cells, np.sort(p), labels=i < 2) for i, p in enumerate(parts)]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A storage with the weights of a pretraining on blood cells, and what it came to."""
    home = tmp_path_factory.mktemp("pretrained")
    ctx = Context(seed=0, scratch=home, store=Store(home / "store"))
    metrics, told, saw, trial = run(ctx, "pretraining", **{**PRETRAINING, "epochs": 8, "batch": 16})
    return ctx, metrics, told, saw, trial


def test_pretraining_guesses_better_than_any_one_bin(pretrained):
    _, metrics, told, saw, _ = pretrained
    assert metrics["test/accuracy"] > metrics["test/constant"] + 0.02
    assert [m["epoch"] for m in told] == [*range(1, 9)]
    assert told[-1]["train/loss"] < told[0]["train/loss"]
    assert {"scbert pretraining", "scbert positions", "scbert choice of genes"} <= set(saw)
    assert metrics["n_train"] == len(saw["scbert pretraining"]) == 490


def test_both_floors_are_asked_the_same(pretrained):
    ctx, metrics, *_ = pretrained
    own, *_ = run(ctx, "pretraining", model="most_common_bin", n_genes=100)
    overall, *_ = run(ctx, "pretraining", model="most_common_bin_overall", n_genes=100)
    for floor in (own, overall):  # the same bins were masked
        assert floor["test/constant"] == metrics["test/constant"]
        assert floor["test/cell_constant"] == metrics["test/cell_constant"]
    assert own["test/accuracy"] == own["test/cell_constant"]
    assert own["test/modal_cells"] == own["test/modal_answers"] == 1
    assert overall["test/accuracy"] <= overall["test/constant"] < own["test/accuracy"]
    assert overall["test/macro_recall"] == pytest.approx(1 / 5)
    assert 0 < overall["test/modal_cells"] < 1


def test_weights_are_kept_in_the_authors_layout(pretrained):
    ctx, _, _, _, trial = pretrained
    home = ctx.store.home(recipe(trial.id))
    (file,) = home.glob("*.pth")
    kept = torch.load(file, weights_only=True)
    assert kept["epoch"] == 8
    names = set(kept["model_state_dict"])
    assert {"token_emb.weight", "pos_emb.emb.weight", "to_out.weight", "norm.bias"} <= names
    assert "performer.net.layers.1.1.fn.fn.w2.weight" in names
    assert not any("proj_updater" in name for name in names)
    assert len((home / "genes.txt").read_text().split()) == 100


def test_kept_weights_say_the_same_when_asked_again(pretrained):
    ctx, metrics, _, _, trial = pretrained
    again, told, *_ = run(ctx, "pretraining", weights=f"trial:{trial.id}", **{**QUICK, "epochs": 0})
    assert again["test/accuracy"] == metrics["test/accuracy"]
    assert not told


def test_fine_tuning_learns_and_sees_no_test_cell(pretrained):
    ctx, _, _, _, trial = pretrained
    started = {"weights": f"trial:{trial.id}", **{**QUICK, "epochs": 8}}
    metrics, told, saw, _ = run(ctx, **started)
    assert metrics["test/accuracy"] > 0.5  # the commonest type is 0.34 of them
    best = max(m["valid/accuracy"] for m in told)
    first = next(m["epoch"] for m in told if m["valid/accuracy"] == best)
    assert metrics["valid/accuracy"] == best
    assert metrics["chosen/epoch"] == first
    assert len(saw["scbert fit"]) + len(saw["scbert choice of epoch"]) == metrics["n_train"]


@pytest.mark.parametrize(
    "change",
    [
        {"stabiliser": "paper", "redraw": 3, "class_weights": "paper"},
        {"trained": "second_to_last", "class_weights": "none"},
        {"trained": "all", "accumulate": 2},
    ],
)
def test_the_papers_choices_run_and_differ(pretrained, change):
    ctx, _, _, _, trial = pretrained
    base = {"weights": f"trial:{trial.id}", **QUICK}
    usual, one = run(ctx, **base)[1], run(ctx, **base, **change)[1]
    assert [m["train/loss"] for m in usual] != [m["train/loss"] for m in one]
    assert run(ctx, **base, **change)[1] == one  # and the same again


def test_the_report_asks_cells_in_another_order_and_gives_each_its_own_answer(pretrained):
    ctx, _, _, _, trial = pretrained
    base = {"weights": f"trial:{trial.id}", **QUICK}
    usual, drawn = run(ctx, **base)[0], run(ctx, **base, report_batch=64)[0]
    assert drawn == usual  # an output is of its cell alone
    paper = {**base, "stabiliser": "paper", "report_batch": 64}
    assert run(ctx, **paper)[0] == run(ctx, **paper)[0]


def test_under_the_papers_protocol_the_choice_on_reported_cells_is_stamped(pretrained):
    ctx, _, _, _, pretraining = pretrained
    metrics, _, saw, trial = run(
        ctx, task_params={"protocol": "paper"}, weights=f"trial:{pretraining.id}", **QUICK
    )
    assert trial.the_task().described(trial.cells(ctx.store)).endswith("chosen on the test set")
    assert metrics["valid/accuracy"] == metrics["test/accuracy"]
    assert len(saw["scbert choice of epoch"]) == metrics["n_eval"]


def test_without_pretraining_positions_stay_and_without_gene2vec_they_go(pretrained):
    ctx, _, _, _, trial = pretrained
    none = ScBERT(weights="none", positions=f"trial:{trial.id}", **QUICK)
    panel = none.panel(ctx.store)
    placed = none.loaded(panel, ctx.store, 3).state_dict()
    learnt = ScBERT(weights=f"trial:{trial.id}", **QUICK).loaded(panel, ctx.store, 3).state_dict()
    assert torch.equal(placed["pos_emb.emb.weight"], learnt["pos_emb.emb.weight"])
    assert placed["pos_emb.emb.weight"].abs().sum() > 0
    assert not torch.equal(placed["token_emb.weight"], learnt["token_emb.weight"])
    bare = ScBERT(weights="none", gene2vec=False, **QUICK).loaded(panel, ctx.store, 3)
    assert not any(key.startswith("pos_emb") for key in bare.state_dict())
    with pytest.raises(ValueError, match=r"has, and the model has not, pos_emb\.emb\.weight"):
        ScBERT(weights=f"trial:{trial.id}", gene2vec=False, **QUICK).loaded(panel, ctx.store, 0)


def test_frozen_blocks_kept_in_the_store_change_no_bit(pretrained, blood, ctx):
    weights = f"trial:{pretrained[4].id}"
    source = pretrained[0].store.home(recipe(pretrained[4].id))
    shutil.copytree(source, ctx.store.home(recipe(pretrained[4].id)))
    told = []
    for room in (0.0, 256.0):
        history = []
        model = ScBERT(weights=weights, prefix_mb=room, **QUICK)
        said = model.fit_predict(*split(blood), replace(ctx, report=history.append))
        told.append((history, said.test.tolist(), said.valid.tolist()))
        kept = list(ctx.store.root.glob("*/*/prefix.npy"))
        assert len(kept) == (2 if room else 0)  # of the cells that each epoch asks about
    assert told[0] == told[1]
    # redrawn features would change what the frozen blocks say, so nothing is kept then
    shutil.rmtree(ctx.store.root)
    shutil.copytree(source, ctx.store.home(recipe(pretrained[4].id)))
    ScBERT(weights=weights, redraw=2, **QUICK).fit_predict(*split(blood), ctx)
    assert not list(ctx.store.root.glob("*/*/prefix.npy"))


def test_embeddings_are_batch_independent_means(pretrained, blood):
    ctx, _, _, _, trial = pretrained
    cells = rows(blood, np.arange(50), labels=False)
    sizes = [
        ScBERT(weights=f"trial:{trial.id}", **{**QUICK, "batch": n}).embed(cells, ctx)
        for n in (1, 7)
    ]
    assert sizes[0].shape == (50, 12)
    assert sizes[0].dtype == np.float32
    np.testing.assert_allclose(*sizes, rtol=0, atol=2e-6)
    assert sizes[0].std(axis=0).max() > 1e-3


def test_nan_answers_of_finite_weights_say_where(pretrained, blood, tmp_path):
    ctx, _, _, _, trial = pretrained
    shutil.copytree(ctx.store.home(recipe(trial.id)), tmp_path / "w")
    (path,) = (tmp_path / "w").glob("*.pth")
    held = torch.load(path, weights_only=True)
    state = held["model_state_dict"]
    state["norm.weight"] = torch.full_like(state["norm.weight"], 3e38)  # finite, but too large
    torch.save(held, path)
    model = ScBERT(weights=str(path), **QUICK)
    own = Context(seed=0, scratch=tmp_path, store=Store(tmp_path / "store"))
    cells = rows(blood, np.arange(20), labels=False)
    said = r"scbert gives NaN or infinity for 20 of 20 cells .* in float32 on cpu"
    with pytest.raises(ValueError, match=said):
        model.embed(cells, own)
    with pytest.raises(ValueError, match="scbert gives NaN"):
        ScBERT(weights=str(path), **{**QUICK, "epochs": 0}).pretrain(*split(blood), own)
    with pytest.raises(ValueError, match="the training diverged"):
        model.fit_predict(*split(blood), own)


def test_fitting_on_test_cells_would_be_noticed(pretrained, blood):
    """The audit hears of every step that learns, so a leak there cannot pass."""
    from trainables.audit import audited

    ctx = pretrained[0]
    train, valid, test = split(blood)
    with pytest.raises(Leak):
        ScBERT(**PRETRAINING).pretrain(train, valid, test, audited(ctx, train.obs_names[:1]))
