"""scBERT through its own doors: tokens, pretraining, fine-tuning, and what it refuses."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from tests.conftest import ROOT, SHARED
from trainables import catalog
from trainables.audit import Leak
from trainables.cells import open_cells, prepare, rows
from trainables.genes.masking import masked
from trainables.genes.panel import Panel, dense
from trainables.models.scbert import ScBERT
from trainables.networks.weights import recipe
from trainables.protocols import NotApplicable
from trainables.seeds import stream
from trainables.trial import Trial

CELLS = "pbmc68k_reduced"
FIXTURE = SHARED / "fixtures" / "scbert"
TINY = {"dim": 12, "depth": 2, "heads": 2, "dim_head": 8, "ff_mult": 1, "rescale": False}
QUICK = {"lr": 1e-2, "min_lr": 3e-3, "warmup": 1, "cycle": 9, "epochs": 2, "batch": 32, **TINY}
PRETRAINING = {"weights": "none", "positions": "coexpression", "n_genes": 100, **QUICK}


@pytest.fixture
def blood(ctx):
    return open_cells(prepare(catalog.dataset(CELLS), ctx.store))


def split(cells):
    """Three parts; the test cells without labels."""
    order = stream(0, "test parts").permutation(cells.n_obs)
    parts = np.split(order, [400, 500])
    return [rows(cells, np.sort(p), labels=i < 2) for i, p in enumerate(parts)]


def run(ctx, task="annotation", seed=0, model="scbert", task_params=None, **params):
    """A trial, and all that it told."""
    trial = Trial(model, task, CELLS, seed, model_params=params, task_params=task_params or {})
    told, saw = [], {}
    scratch = ctx.scratch / trial.id
    scratch.mkdir(exist_ok=True)
    own = replace(
        ctx,
        scratch=scratch,
        trial=trial.id,
        report=told.append,
        saw=lambda step, names: saw.update({step: list(names)}),
    )
    return trial.run(own), told, saw, trial


# ---- tokens ----------------------------------------------------------------------------------


def test_tokens_are_the_authors():
    if not FIXTURE.exists():
        pytest.skip("no ../shared/fixtures/scbert beside this checkout")
    given = np.load(FIXTURE / "input.npz")
    counts = given["counts"].astype(np.float64)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    genes = [f"G{i}" for i in range(counts.shape[1])]
    cells = ad.AnnData(sparse.csr_matrix(logged), var=pd.DataFrame(index=genes))
    tokens = Panel(tuple(genes)).tokens(cells, rescale=True)
    np.testing.assert_array_equal(dense(tokens), given["tokens"])


def test_cells_are_put_in_the_order_of_the_list_and_scaled_to_its_genes():
    counts = np.array([[4, 0, 30, 6], [0, 0, 5, 5]], dtype=float)
    x = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    cells = ad.AnnData(sparse.csr_matrix(x), var=pd.DataFrame(index=["A", "B", "C", "D"]))
    panel = Panel(("D", "NEW", "A"))
    assert panel.absent(cells) == 1
    # of 10 counts on the list, 4 are 4,000 of 1e4: floor(log2(4001)) is above 5
    assert panel.tokens(cells, rescale=True).toarray().tolist() == [[5, 0, 5], [5, 0, 0]]
    few = ad.AnnData(sparse.csr_matrix(np.log1p([[6.0, 0, 9993, 1]])), var=cells.var)
    assert panel.tokens(few, rescale=False).toarray().tolist() == [[1, 0, 2]]
    assert panel.tokens(few, rescale=True).toarray().tolist() == [[5, 0, 5]]


def test_a_list_that_shares_no_gene_is_refused(blood):
    with pytest.raises(ValueError, match=r"none of the 765 genes \(such as .*list\.txt"):
        Panel(("ENSG1", "ENSG2"), "list.txt").tokens(blood, rescale=True)
    with pytest.raises(ValueError, match="names A more than once"):
        Panel(("A", "B", "A"))


def test_zeros_are_never_masked_and_a_share_of_each_cell_is():
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 6, (50, 60)) * (rng.random((50, 60)) < 0.5)
    tokens = sparse.csr_matrix(bins.astype(np.int8))
    some = masked(tokens, stream(0, "mask"))
    shown, (row, column) = some.shown(), some.places(some.hidden)
    asked = np.bincount(some.places(some.chosen)[0], minlength=50)
    np.testing.assert_array_equal(asked, np.ceil(np.diff(tokens.indptr) * 0.15))
    assert (shown[row, column] == 6).all()
    assert (shown == 6).sum() == some.hidden.sum() > 0
    assert (bins[row, column] > 0).all()
    rest = shown.copy()
    rest[row, column] = bins[row, column]
    np.testing.assert_array_equal(rest[:, :-1], bins)
    assert not rest[:, -1].any()
    assert 0.8 < some.hidden.sum() / some.chosen.sum() < 0.97  # nine in ten of them
    np.testing.assert_array_equal(
        np.concatenate([some.part(i, i + 7).shown() for i in range(0, 50, 7)]), shown
    )


# ---- from pretraining to names -----------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A storage with the weights of a pretraining on blood cells, and what it came to."""
    from trainables.protocols import Context
    from trainables.store import Store

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


def test_the_most_common_bin_is_asked_the_same(pretrained):
    ctx, metrics, *_ = pretrained
    floor, *_ = run(ctx, "pretraining", model="most_common_bin", n_genes=100)
    assert floor["test/constant"] == metrics["test/constant"]  # the same bins were masked
    assert floor["test/accuracy"] <= floor["test/constant"]
    assert floor["test/macro_recall"] == pytest.approx(1 / 5)


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


def test_fitting_on_test_cells_would_be_noticed(pretrained, blood):
    """The audit hears of every step that learns, so a leak there cannot pass."""
    from trainables.audit import audited

    ctx = pretrained[0]
    train, valid, test = split(blood)
    with pytest.raises(Leak):
        ScBERT(**PRETRAINING).pretrain(train, valid, test, audited(ctx, train.obs_names[:1]))


# ---- a kill -------------------------------------------------------------------------------------

SCRIPT = """
import sys, time
from pathlib import Path
import torch
from orchestrator.execute import execute
from trainables.networks import performer, training
from trainables.trial import Trial

storage, task, params, pause = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), float(sys.argv[4])
training.SAVE_EVERY_S = 0.0
slow = performer.ScBERTNetwork.redraw
performer.ScBERTNetwork.redraw = lambda *a: (time.sleep(pause), slow(*a))[1]
trial = Trial("scbert", task, "pbmc68k_reduced", 1, model_params=params)
print(execute(trial, storage, code_version="x"))
"""


def start(storage, task, params, pause=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(storage), task, repr(params), str(pause)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def position(storage):
    """Where a trial's checkpoint says its training is, if there is one."""
    found = list((storage / "checkpoints").glob("*/scbert.pt"))
    return torch.load(found[0], weights_only=True)["progress"] if found else None


def test_a_pretraining_killed_mid_epoch_ends_with_the_same_weights(tmp_path):
    params = {**PRETRAINING, "epochs": 2, "redraw": 4}
    trial = Trial("scbert", "pretraining", CELLS, 1, model_params=params)
    ends = {}
    for name in ("whole", "killed"):
        storage = tmp_path / name
        if name == "killed":
            process = start(storage, "pretraining", params, pause=0.1)
            deadline = time.monotonic() + 600
            while time.monotonic() < deadline:
                at = position(storage)
                if at and at["epoch"] == 1 and at["step"]:
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            at = position(storage)
            assert at["epoch"] == 1
            assert 0 < at["step"] < 16
        said = start(storage, "pretraining", params).communicate(timeout=600)[0]
        assert "'status': 'ok'" in said
        from trainables.store import Store

        home = Store(storage / "store").home(recipe(trial.id))
        (file,) = home.glob("*.pth")
        ends[name] = torch.load(file, weights_only=True)["model_state_dict"]
        assert not list(
            (storage / "checkpoints").glob("*/*")
        )  # settled: nothing left to go on from
    assert ends["whole"].keys() == ends["killed"].keys()
    for key, value in ends["whole"].items():
        assert torch.equal(value, ends["killed"][key]), key


# ---- what is refused ------------------------------------------------------------------------


@pytest.fixture
def folder(pretrained, tmp_path):
    """A copy of the pretrained weights, to be damaged."""
    ctx, _, _, _, trial = pretrained
    home = tmp_path / "mine"
    shutil.copytree(ctx.store.home(recipe(trial.id)), home)
    return home


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
