"""scGPT as a model: what it is given, what it refuses, and what its neighbours must not change."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from orchestrator.known_sweeps import find_sweep
from orchestrator.models_cli import examined, published
from trainables import catalog
from trainables.cells import open_cells, prepare, rows
from trainables.networks import weights
from trainables.networks.scgpt_authors import installed
from trainables.networks.scgpt_checkpoint import build
from trainables.networks.scgpt_runs import freeze
from trainables.protocols import NotApplicable
from trainables.splits import random_split
from trainables.trial import Trial

TINY = {"layers": 2, "width": 16, "heads": 2, "hidden": 16}
FRESH = {"weights": "none", **TINY}


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.fixture
def everyone(cells):
    return rows(cells, np.arange(cells.n_obs), labels=False)


@pytest.fixture
def parts(cells):
    split = random_split(cells.obs["cell_type"].astype(str).to_numpy(), 0)
    return (
        rows(cells, split.train, labels=True),
        rows(cells, split.valid, labels=True),
        rows(cells, split.test, labels=False),
    )


@pytest.fixture
def pretrained(parts, ctx):
    """A folder of weights in the official layout, made here."""
    model = catalog.model("scgpt", {**FRESH, "epochs": 2, "lr": 3e-3})
    return model.pretrain(*parts, ctx)


# ---- pretraining and what starts from it -------------------------------------------------------


def test_pretraining_learns_to_guess_what_is_hidden(parts, ctx):
    told, seen = [], {}
    listening = replace(ctx, report=told.append, saw=lambda step, names: seen.update({step: names}))
    model = catalog.model("scgpt", {**FRESH, "epochs": 8, "lr": 1e-2, "dropout": 0.0})
    made = model.pretrain(*parts, listening)
    losses = [epoch["valid/gep"] for epoch in told]
    assert losses[-1] < 0.5 * losses[0]
    assert set(seen) == {"scgpt pretraining", "scgpt choice of epoch"}
    tokens = parts[2].X.astype(bool).sum()
    assert len(made.asked) == len(made.given) == pytest.approx(tokens / 2, rel=0.1)
    assert made.asked.min() >= 1
    assert made.asked.max() == 50
    assert set(np.unique(made.given)) <= set(range(1, 51))
    error = np.mean((made.given - made.asked) ** 2)
    assert error < 1.2 * made.asked.var()  # 850 before training, 208 for a constant


def test_what_was_saved_is_what_comes_back(pretrained, everyone, ctx):
    folder = pretrained.weights
    assert sorted(path.name for path in folder.iterdir()) == [
        "args.json",
        "best_model.pt",
        "vocab.json",
    ]
    model = catalog.model("scgpt", {"weights": str(folder)})
    first = model.embed(everyone, ctx)
    assert first.shape == (everyone.n_obs, TINY["width"])
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(first, model.embed(everyone, replace(ctx, cpus=2)))
    fresh = catalog.model("scgpt", FRESH).embed(everyone, ctx)
    assert np.abs(first - fresh).max() > 0.1


def test_weights_of_a_trial_are_found_by_its_id(pretrained, everyone, ctx):
    import shutil

    ctx.store.get(
        weights.recipe("abc"),
        lambda draft: shutil.copytree(pretrained.weights, draft, dirs_exist_ok=True) and None,
    )
    by_id = catalog.model("scgpt", {"weights": "trial:abc"}).embed(everyone, ctx)
    by_path = catalog.model("scgpt", {"weights": str(pretrained.weights)}).embed(everyone, ctx)
    np.testing.assert_array_equal(by_id, by_path)


def test_fine_tuning_tells_types_apart(pretrained, parts, cells, ctx):
    told = []
    params = {"weights": str(pretrained.weights), "epochs": 10, "lr": 3e-3, "dropout": 0.0}
    model = catalog.model("scgpt", {**params, "shuffle": True})
    said = model.fit_predict(*parts, replace(ctx, report=told.append))
    truth = cells.obs["cell_type"].astype(str)[parts[2].obs_names]
    assert (said.test == truth).mean() > 0.7
    best = min(told, key=lambda epoch: epoch["valid/loss"])
    assert said.notes == {"epoch": best["epoch"], "genes": 120.0}
    assert [round(epoch["lr"] / 3e-3, 6) for epoch in told[:3]] == [1, 0.9, 0.81]


# ---- neighbours, workers, seeds ----------------------------------------------------------------


@pytest.mark.parametrize("capability", ["embed", "reconstruct"])
def test_no_bit_depends_on_neighbours_or_workers(capability, everyone, ctx):
    """The authors' embed_data changes by 0.01 between one loader worker and two."""
    model = catalog.model("scgpt", {**FRESH, "decoder": "gepc"})

    def asked(some, cpus):
        said = getattr(model, capability)(some, replace(ctx, cpus=cpus))
        return said if capability == "embed" else np.asarray(said.given.todense())

    alone = asked(everyone, 1)
    np.testing.assert_array_equal(asked(everyone, 8), alone)
    few = np.array([17, 3, 200])
    np.testing.assert_array_equal(asked(everyone[few], 2), alone[few])


def test_fine_tuning_is_the_same_again_and_other_with_another_seed(parts, ctx):
    model = catalog.model("scgpt", {**FRESH, "epochs": 2})
    told = []
    for changed in (ctx, replace(ctx, cpus=2), replace(ctx, seed=1)):
        epochs = []
        model.fit_predict(*parts, replace(changed, report=epochs.append))
        told.append(epochs)
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_a_batch_in_several_passes_is_the_same_batch(parts, ctx):
    losses = []
    for passes in (1, 4):
        epochs = []
        params = {**FRESH, "epochs": 1, "dropout": 0.0, "batch": 24, "passes": passes}
        model = catalog.model("scgpt", params)
        model.fit_predict(parts[0][:168], *parts[1:], replace(ctx, report=epochs.append))
        losses.append(epochs[0]["valid/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.skipif(not installed(), reason="the extra scgpt is not installed")
def test_both_back_ends_give_the_same_embedding(pretrained, everyone, ctx):
    found = [
        catalog.model("scgpt", {"weights": str(pretrained.weights), "backend": name}).embed(
            everyone, ctx
        )
        for name in ("fast", "authors")
    ]
    np.testing.assert_allclose(*found, rtol=0, atol=2e-6)


# ---- what is asked and given -------------------------------------------------------------------


def test_reconstruction_asks_for_every_expressed_gene_s_bin(everyone, ctx):
    found = catalog.model("scgpt", FRESH).reconstruct(everyone, ctx)
    assert found.kind == "bins"
    assert list(found.genes) == list(everyone.var_names)
    np.testing.assert_array_equal(found.asked.toarray() > 0, everyone.X.toarray() > 0)
    np.testing.assert_array_equal(found.asked.indices, found.given.indices)
    other = catalog.model("scgpt", {**FRESH, "decoder": "gepc"}).reconstruct(everyone, ctx)
    np.testing.assert_array_equal(other.asked.data, found.asked.data)
    assert not np.allclose(other.given.data, found.given.data)


def test_both_conventions_at_cls_and_both_of_ties_are_to_be_had(everyone, ctx):
    zero, pad, highest = (
        catalog.model("scgpt", {**FRESH, **change}).embed(everyone, ctx)
        for change in ({}, {"cls_value": "pad"}, {"ties": "highest"})
    )
    assert np.abs(zero - pad).max() > 1e-3
    assert 1e-6 < np.abs(zero - highest).max() < 0.5


def test_long_cells_keep_a_draw_of_their_genes(everyone, ctx):
    found = catalog.model("scgpt", {**FRESH, "max_length": 11}).reconstruct(everyone, ctx)
    lengths = np.diff(found.asked.indptr)
    assert lengths.max() == 10
    assert (lengths == np.minimum(np.diff(everyone.X.indptr), 10)).all()


def test_variable_genes_are_chosen_on_training_rows_alone(everyone, ctx):
    marked = everyone.copy()
    marked.obs["split"] = np.where(np.arange(marked.n_obs) % 3, "train", "test")
    seen = []
    model = catalog.model("scgpt", {**FRESH, "n_hvg": 40})
    embedded = model.embed(marked, replace(ctx, saw=lambda _, names: seen.extend(names)))
    assert len(embedded) == marked.n_obs
    assert len(seen) == (marked.obs["split"] == "train").sum()


def test_genes_that_the_training_rows_hardly_express_are_not_chosen_among(everyone, ctx):
    """185 cells of pbmc3k express so few of its genes that scanpy's bins would be empty."""
    rare = everyone.copy()
    for values in (rare.X, rare.layers["counts"]):
        values.data[np.isin(values.indices, np.arange(60)) & (np.arange(len(values.data)) > 50)] = 0
        values.eliminate_zeros()
    rare.layers["counts"].data[:] = 1
    found = catalog.model("scgpt", {**FRESH, "n_hvg": 50}).reconstruct(rare, ctx)
    counts = np.asarray(rare.layers["counts"].sum(axis=0)).ravel()
    assert len(found.genes) == 50
    assert (counts[rare.var_names.get_indexer(found.genes)] >= 3).all()


# ---- what is frozen ----------------------------------------------------------------------------


@pytest.fixture
def human_vocabulary(tmp_path):
    """A `vocab.json` of as many genes as the authors'; the three special tokens are not in it."""
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({f"GENE{i}": i for i in range(60_694)}))
    return path


def counted(arm, path):
    """Trainable parameters of an arm of Supplementary Table 5 at the paper's size.

    21 classes are those of the myeloid cells, which the paper's two numbers are of.
    """
    params = {**find_sweep("boiarsky2023/supp_table5").models[arm], "vocabulary": str(path)}
    model = catalog.model("scgpt", params)
    shape = model.architecture(model.own_vocabulary(None), classes=21, mvc=False)
    with torch.device("meta"):
        network = build(shape)
    freeze(network, model.freeze)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def counts_of_the_paper(path):
    """Supp Table 5: 51,342,358 and 19,999,766, though its text says "all pre-decoder weights"."""
    assert counted("scgpt/scratch", path) == 51_342_358
    assert counted("scgpt/scratch_frozen", path) == 19_999_766
    trunk = 12 * (4 * (512 * 512 + 512) + 2 * (512 * 512 + 512) + 4 * 512)
    assert counted("scgpt/scratch_head_only", path) == 19_999_766 - trunk


def test_runs_from_scratch_have_the_paper_s_own_number_of_parameters(human_vocabulary):
    counts_of_the_paper(human_vocabulary)


def test_so_they_have_with_the_vocabulary_of_the_authors_repository(shared_data):
    counts_of_the_paper(shared_data / "vocab" / "scgpt_default_census_vocab.json")


def test_a_fresh_network_takes_a_given_vocabulary(human_vocabulary, everyone, parts, ctx):
    known = [*everyone.var_names[:100], *(f"OTHER{i}" for i in range(300))]
    human_vocabulary.write_text(json.dumps({gene: i for i, gene in enumerate(known)}))
    model = catalog.model("scgpt", {**FRESH, "vocabulary": str(human_vocabulary), "epochs": 1})
    model.check(everyone)
    found = model.reconstruct(everyone, ctx)
    assert list(found.genes) == list(everyone.var_names[:100])
    made = model.pretrain(*parts, ctx)
    assert len(json.loads((made.weights / "vocab.json").read_text())) == 403


def test_a_vocabulary_travels_with_its_trial_and_decides_its_id(human_vocabulary, tmp_path):
    def trial(path):
        return Trial("scgpt", "annotation", "toy", 0, 1.0, {**FRESH, "vocabulary": str(path)})

    located = trial(human_vocabulary).located()
    assert located.external["vocabulary"].path == str(human_vocabulary)
    copy = tmp_path / "elsewhere.json"
    copy.write_text(human_vocabulary.read_text())
    assert trial(copy).id == located.id
    copy.write_text(json.dumps({"ONE": 0}))
    assert trial(copy).id != located.id


def test_the_vocabulary_alone_can_be_taken_and_checked(human_vocabulary, tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path / "weights"))
    known = published("scgpt", "vocabulary")
    assert known.urls["vocab.json"].endswith("/scgpt/tokenizer/default_census_vocab.json")
    known.take([human_vocabulary])
    assert not known.missing()
    (row,) = examined("scgpt")(known.folder)
    assert row["shape"] == "(60,697 tokens)"
    model = catalog.model("scgpt", {**FRESH, "vocabulary": "vocabulary"})
    assert len(model.own_vocabulary(None)) == 60_697


def test_a_vocabulary_that_cannot_be_had_is_asked_for(everyone, tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    for name in ("human", "vocabulary"):
        model = catalog.model("scgpt", {**FRESH, "vocabulary": name})
        with pytest.raises(NotApplicable, match="models fetch scgpt --variant vocabulary"):
            model.check(everyone)
    with pytest.raises(ValueError, match="no vocabulary at"):
        catalog.model("scgpt", {**FRESH, "vocabulary": "./none.json"}).check(everyone)
    with pytest.raises(ValueError, match="bring their own vocabulary"):
        catalog.model("scgpt", {"weights": "human", "vocabulary": "human"})


@pytest.mark.parametrize("what", ["embeddings", "all_but_decoder"])
def test_what_is_frozen_stays_as_it_was(what, pretrained, parts, ctx, monkeypatch):
    from trainables.networks import scgpt_runs

    kept = []
    original = scgpt_runs.Run.fine_tune

    def spied(run, *args):
        before = {key: value.clone() for key, value in run.network.state_dict().items()}
        done = original(run, *args)
        after = run.network.state_dict()
        kept.append({key for key in before if torch.equal(before[key], after[key])})
        return done

    monkeypatch.setattr(scgpt_runs.Run, "fine_tune", spied)
    model = catalog.model(
        "scgpt", {"weights": str(pretrained.weights), "freeze": what, "epochs": 1, "lr": 1e-2}
    )
    model.fit_predict(*parts, ctx)
    frozen = ("encoder.", "value_encoder.", "decoder.")  # GEP is not asked, so nothing moves it
    frozen += ("transformer_encoder.",) if what == "all_but_decoder" else ()
    assert kept[0]
    assert all(key.startswith(frozen) for key in kept[0])
    moved = {"embeddings": "transformer_encoder.", "all_but_decoder": "cls_decoder."}[what]
    assert not [key for key in kept[0] if key.startswith(moved)]


# ---- what is refused ---------------------------------------------------------------------------


def test_weights_bring_their_own_shape(pretrained, everyone, ctx):
    model = catalog.model("scgpt", {"weights": str(pretrained.weights), "layers": 3})
    with pytest.raises(ValueError, match=r"layers=3, but the weights .* have 2"):
        model.embed(everyone, ctx)


def test_a_vocabulary_of_other_weights_is_refused(pretrained, everyone, ctx):
    path = pretrained.weights / "vocab.json"
    vocabulary = json.loads(path.read_text())
    path.write_text(json.dumps({**vocabulary, "ONE MORE": len(vocabulary)}))
    with pytest.raises(ValueError, match=r"124 tokens and the weights 123"):
        catalog.model("scgpt", {"weights": str(pretrained.weights)}).embed(everyone, ctx)


def test_cells_of_other_genes_are_refused_and_of_some_told(pretrained, everyone, ctx, capsys):
    model = catalog.model("scgpt", {"weights": str(pretrained.weights)})
    other = everyone.copy()
    other.var_names = [f"ENSG{i:011}" for i in range(other.n_vars)]
    with pytest.raises(ValueError, match=r"none of the 120 genes .* is in the vocabulary"):
        model.embed(other, ctx)
    other.var_names = [*everyone.var_names[:50], *other.var_names[50:]]
    model.embed(other, ctx)
    assert "50 of 120 genes are in the vocabulary" in capsys.readouterr().out


def test_absent_weights_are_named_with_the_way_to_them(everyone, ctx, tmp_path, monkeypatch):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    with pytest.raises(NotApplicable, match="gauntlet models fetch scgpt"):
        catalog.model("scgpt").check(everyone)
    with pytest.raises(ValueError, match="no weights at"):
        catalog.model("scgpt", {"weights": "./nowhere"}).check(everyone)


def test_nan_answers_of_finite_weights_say_where(pretrained, everyone, ctx):
    path = pretrained.weights / "best_model.pt"
    state = torch.load(path, weights_only=True)
    state["encoder.enc_norm.weight"] = torch.full_like(state["encoder.enc_norm.weight"], 3e38)
    torch.save(state, path)
    model = catalog.model("scgpt", {"weights": str(pretrained.weights)})
    for capability in ("embed", "reconstruct"):
        with pytest.raises(ValueError, match=r"scgpt gives NaN .* of 240 cells .* in float32"):
            getattr(model, capability)(everyone, ctx)


@pytest.mark.parametrize(
    "params",
    [{"freeze": "all"}, {"backend": "slow"}, {"mask_ratios": [0.5, 1.5]}, {"decoder": "mlm"}],
)
def test_what_it_has_not_is_refused_by_name(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        catalog.model("scgpt", params)


def test_the_id_knows_weights_by_their_content(pretrained, tmp_path):
    import shutil

    shutil.copytree(pretrained.weights, tmp_path / "elsewhere")
    here, there = (
        catalog.spelled_out(catalog.model("scgpt", {"weights": str(place)}))["weights"]
        for place in (pretrained.weights, tmp_path / "elsewhere")
    )
    assert here == there
    assert here.startswith("sha256:")
    assert catalog.spelled_out(catalog.model("scgpt", FRESH))["weights"] == "none"
