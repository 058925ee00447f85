"""Geneformer: the authors' own outputs where they lie beside, and what it refuses everywhere."""

import pickle
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from tests.trainables import tiny_weights
from trainables import catalog
from trainables.cells import new_cells, open_cells, prepare, rows
from trainables.genes import dictionaries
from trainables.genes.ranks import framed, rank_values
from trainables.networks import geneformer as networks
from trainables.networks import weights
from trainables.networks.geneformer_runs import Ranked, Run
from trainables.protocols import NotApplicable
from trainables.splits import random_split

TINY = {"weights": "none", "layers": 2, "width": 16, "heads": 2, "hidden": 16, "max_length": 64}


# ---- the authors' outputs ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def fixture(shared_data):
    folder = shared_data.parent / "fixtures" / "geneformer"
    if not folder.exists():
        pytest.skip("no ../shared/fixtures/geneformer beside this checkout")
    cells, wanted = (dict(np.load(folder / f"{name}.npz")) for name in ("input", "expected"))
    found = dictionaries.read(folder).found(named(cells["ensembl_id"]), source="x")
    ids, lengths = rank_values(
        csr_matrix(cells["counts"]), found.tokens, found.medians, n_counts=cells["n_counts"]
    )
    tokens = Ranked(ids, lengths)
    return SimpleNamespace(folder=folder, cells=cells, wanted=wanted, tokens=tokens)


@pytest.fixture
def authors(fixture, ctx):
    """The network of the authors' weights, as a run."""
    network = networks.built(networks.config(fixture.folder), 0)
    networks.load(network, fixture.folder)
    return Run(network, ctx)


def named(names):
    return pd.DataFrame(index=pd.Index(names))


def some(tokens, first, last):
    return Ranked(tokens.ids[first:last], tokens.lengths[first:last])


def test_tokens_are_the_authors(fixture):
    longest = fixture.tokens.ids.shape[1]
    np.testing.assert_array_equal(fixture.tokens.lengths, fixture.wanted["lengths"])
    np.testing.assert_array_equal(fixture.tokens.ids, fixture.wanted["token_ids"][:, :longest])
    assert not fixture.wanted["token_ids"][:, longest:].any()


def test_tokens_of_v2_are_the_authors(fixture, tmp_path):
    for name, kept in (
        ("token_dictionary_v2", "token_dictionary"),
        *[("gene_median_dictionary",) * 2],
    ):
        (tmp_path / f"{kept}.pkl").write_bytes((fixture.folder / f"{name}.pkl").read_bytes())
    known = dictionaries.read(tmp_path)
    assert known.version == "v2"
    found = known.found(named(fixture.cells["ensembl_id"]), source="x")
    counts = csr_matrix(fixture.cells["counts"])
    ids, lengths = framed(*rank_values(counts, found.tokens, found.medians, most=510), 2, 3)
    np.testing.assert_array_equal(ids, fixture.wanted["v2_token_ids_input512"])
    np.testing.assert_array_equal(lengths, fixture.wanted["v2_lengths_input512"])


@pytest.mark.parametrize("layer", ["second_to_last", "last"])
def test_embeddings_are_the_authors(fixture, ctx, layer):
    cells = fixture_cells(fixture)
    model = catalog.model("geneformer", {"weights": str(fixture.folder), "layer": layer})
    said = model.embed(cells, ctx)
    np.testing.assert_allclose(said, fixture.wanted[f"emb_{layer}_mean"], atol=1e-5)


def fixture_cells(fixture):
    counts = csr_matrix(fixture.cells["counts"])
    return new_cells(
        X=counts,  # nobody reads it where there are counts
        layers={"counts": counts},
        var=named(fixture.cells["ensembl_id"]),
        obs=pd.DataFrame(index=[f"c{i}" for i in range(counts.shape[0])]),
    )


def test_what_it_says_of_every_token_is_what_the_authors_says(fixture, authors):
    wanted = fixture.wanted
    states = authors.hidden_states(some(fixture.tokens, 8, 9), 1)[0]
    np.testing.assert_allclose(states[:64], wanted["hidden_cell8_second_to_last"], atol=1e-5)
    ids = torch.from_numpy(fixture.tokens.ids[8:9].astype(np.int64))
    ids = ids[:, : fixture.tokens.lengths[8]]
    with torch.no_grad():
        logits = authors.network.eval()(ids).logits[0].numpy()
    np.testing.assert_allclose(logits[:16], wanted["mlm_logits_cell8_first16"], atol=1e-5)
    for row, said in enumerate(authors.best_tokens(fixture.tokens)):
        clear = np.flatnonzero(np.nan_to_num(wanted["mlm_margin"][row]) > 1e-3)
        assert len(clear) > 100
        np.testing.assert_array_equal(said[clear], wanted["mlm_argmax"][row, clear])


def test_the_loss_is_the_authors(fixture, authors):
    hidden, labels = (
        torch.from_numpy(fixture.cells[name].astype(np.int64))
        for name in ("mlm_masked_ids_cells8_11", "mlm_labels_cells8_11")
    )
    with torch.no_grad():
        found = authors.network.eval()(hidden, attention_mask=(hidden != 0).long(), labels=labels)
    assert float(found.loss) == pytest.approx(float(fixture.wanted["mlm_loss_cells8_11"]), abs=1e-5)


def test_a_classifier_scores_as_the_authors(fixture, ctx):
    network = networks.built(networks.config(fixture.folder), 0, classes=3)
    networks.load(network, fixture.folder)
    head = weights.read(fixture.folder / "cell_classifier_head.safetensors")
    network.load_state_dict(head, strict=False)
    said = Run(network, ctx).class_scores(fixture.tokens)
    np.testing.assert_allclose(said, fixture.wanted["cell_classifier_logits"], atol=1e-5)


def test_neighbours_in_a_batch_change_nothing(fixture, authors):
    rows_ = np.array([3, 8, 11])
    ids, mask = fixture.tokens.padded(rows_)
    assert mask is not None
    with torch.no_grad():
        together = authors.network.eval().bert(ids, attention_mask=mask).last_hidden_state.numpy()
    alone = authors.hidden_states(fixture.tokens, 0)
    for row, states in zip(rows_, together, strict=True):
        n = fixture.tokens.lengths[row]
        np.testing.assert_allclose(states[:n], alone[row][:n], atol=1e-5)
    workers = replace(authors, ctx=replace(authors.ctx, cpus=3))
    again = workers.hidden_states(fixture.tokens, 0)
    assert all((one == other).all() for one, other in zip(alone, again, strict=True))


# ---- what is missing ----------------------------------------------------------------------------


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    cells = SimpleNamespace(var=named(["A"]))
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    with pytest.raises(NotApplicable, match="gauntlet models fetch geneformer"):
        catalog.model("geneformer").check(cells)
    with pytest.raises(ValueError, match="has no token_dictionary"):
        catalog.model("geneformer", {"weights": f"{tmp_path}/"}).check(cells)
    with pytest.raises(ValueError, match="geneformer has no version 'v3'"):
        catalog.model("geneformer", {"version": "v3"})


# ---- made anew ----------------------------------------------------------------------------------


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.fixture
def parts(cells):
    split = random_split(cells.obs["cell_type"].astype(str).to_numpy(), 0)
    kept = (split.train, split.valid, split.test)
    return [rows(cells, part, labels=i < 2) for i, part in enumerate(kept)]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_pretraining_makes_weights_in_the_official_layout_that_come_back(parts, ctx, version):
    told, seen = [], set()
    listening = replace(ctx, report=told.append, saw=lambda step, names: seen.add(step))
    made = catalog.model("geneformer", {**TINY, "version": version, "epochs": 1}).pretrain(
        *parts, listening
    )
    assert {"geneformer pretraining", "geneformer medians"} <= seen
    assert np.isfinite(told[-1]["train/loss"])
    assert {p.name for p in made.weights.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "token_dictionary.pkl",
        "gene_median_dictionary.pkl",
    }
    assert len(made.asked) == len(made.given) > 100
    assert made.asked.min() >= (4 if version == "v2" else 2)
    model = catalog.model("geneformer", {"weights": str(made.weights)})
    embedded = model.embed(parts[2], ctx)
    assert embedded.shape == (parts[2].n_obs, 16)
    np.testing.assert_array_equal(model.embed(parts[2][[5]], ctx)[0], embedded[5])
    found = model.reconstruct(parts[2], ctx)
    assert found.asked.shape == found.given.shape == (parts[2].n_obs, len(found.genes))
    longest = TINY["max_length"] - (2 if version == "v2" else 0)
    assert found.asked.max() <= longest
    assert all(row["fate"] in ("loaded", "tied to another") for row in model.examine(made.weights))


def test_pretraining_learns(parts, ctx):
    told = []
    model = catalog.model("geneformer", {**TINY, "epochs": 6, "lr": 1e-2, "warmup": 5})
    model.pretrain(*parts, replace(ctx, report=told.append))
    assert told[-1]["train/loss"] < told[0]["train/loss"] - 0.15  # chance is ln 117 = 4.76


def test_fine_tuning_learns_and_leaves_frozen_blocks(parts, ctx):
    model = catalog.model(
        "geneformer", {**TINY, "epochs": 8, "lr": 3e-3, "warmup": 5, "freeze_layers": 1}
    )
    told = []
    said = model.fit_predict(*parts, replace(ctx, report=told.append))
    commonest = parts[1].obs["cell_type"].value_counts(normalize=True).max()
    assert max(epoch["valid/accuracy"] for epoch in told) > commonest + 0.2
    assert 1 <= said.notes["epoch"] <= 8
    network, _ = model.run(parts[0], ctx, classes=3)
    networks.freeze(network.network, 1)
    frozen = {n for n, p in network.network.named_parameters() if not p.requires_grad}
    assert frozen
    assert all(name.startswith("bert.encoder.layer.0.") for name in frozen)


def test_logged_cells_give_the_tokens_of_their_counts_and_a_warning(cells, ctx):
    model = catalog.model("geneformer", TINY)
    everyone = rows(cells, np.arange(cells.n_obs), labels=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run, known = model.run(everyone, ctx)
        counted = model.ranked(everyone, known, run)
    bare = new_cells(X=cells.X, obs=everyone.obs, var=cells.var, uns=cells.uns)
    with pytest.warns(UserWarning, match="un-logged"):
        logged = model.ranked(bare, known, run)
    assert (logged.ids == counted.ids).mean() > 0.99  # rounding moves near ties
    wrong = catalog.model("geneformer", {**TINY, "values": "X"})
    with pytest.warns(UserWarning, match="happened to Kedzierska"):
        fed = wrong.ranked(everyone, known, run)
    assert (fed.ids == counted.ids).mean() < 0.9


def test_a_cell_without_known_genes_is_finite_and_asks_nothing(ctx):
    counts = csr_matrix(np.array([[3, 1, 0], [0, 0, 0]], dtype=np.float32))
    obs, var = pd.DataFrame(index=["a", "b"]), named(["A", "B", "C"])
    cells = new_cells(X=counts, layers={"counts": counts}, obs=obs, var=var)
    for version in ("v1", "v2"):
        model = catalog.model("geneformer", {**TINY, "version": version, "pooling": "mean"})
        assert np.isfinite(model.embed(cells, ctx)).all()
        found = model.reconstruct(cells, ctx)
        assert np.diff(found.asked.indptr).tolist() == [2, 0]


# ---- weights as people have them -----------------------------------------------------------------


@pytest.fixture
def official(tmp_path, cells):
    """A small checkpoint in the official layout, and a model that starts from it."""
    tiny_weights.geneformer(tmp_path / "official", list(cells.var_names))
    return tmp_path / "official", catalog.model(
        "geneformer", {"weights": str(tmp_path / "official"), "epochs": 1}
    )


def state_of(folder):
    return weights.read(folder / "model.safetensors")


def rewrite(folder, state):
    from safetensors.torch import save_file

    save_file({key: value.clone().contiguous() for key, value in state.items()},
              folder / "model.safetensors", metadata={"format": "pt"})  # fmt: skip


def test_a_dictionary_of_another_size_is_refused(official, cells, ctx):
    folder, model = official
    path = folder / "token_dictionary_gc30M.pkl"
    tokens = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({name: i for name, i in tokens.items() if i < len(tokens) - 1}))
    with pytest.raises(ValueError, match="dictionary that belongs to the weights"):
        model.embed(cells, ctx)


def test_a_bare_bert_and_a_classifier_embed_alike_and_reconstruct_nothing(official, cells, ctx):
    folder, model = official
    whole = model.embed(cells, ctx)
    state = state_of(folder)
    bert = {key: value for key, value in state.items() if key.startswith("bert.")}
    rewrite(folder, {key.removeprefix("bert."): value for key, value in bert.items()})
    np.testing.assert_array_equal(model.embed(cells, ctx), whole)
    with pytest.raises(ValueError, match=r"lacks cls\.predictions"):
        model.reconstruct(cells, ctx)
    head = {"classifier.weight": torch.ones(3, 8), "classifier.bias": torch.ones(3)}
    rewrite(folder, bert | head)
    np.testing.assert_array_equal(model.embed(cells, ctx), whole)
    fates = {row["key"]: row["fate"] for row in model.examine(folder)}
    assert fates["classifier.weight"] == "not used here"


def test_a_classifier_that_is_fine_tuned_again_gets_a_new_head(official, parts, ctx, capsys):
    folder, model = official
    state = state_of(folder)
    bert = {key: value for key, value in state.items() if key.startswith("bert.")}
    found = []
    for classes in (2, len(set(parts[0].obs["cell_type"]))):
        head = {"classifier.weight": torch.ones(classes, 8), "classifier.bias": torch.ones(classes)}
        rewrite(folder, bert | head)
        found.append(model.fit_predict(*parts, ctx).test)
        assert "a new one is trained in its place" in capsys.readouterr().out
    np.testing.assert_array_equal(*found)


def test_nan_answers_of_finite_weights_say_where(official, cells, ctx):
    folder, model = official
    state = state_of(folder)
    name = "bert.embeddings.LayerNorm.weight"
    rewrite(folder, state | {name: torch.full_like(state[name], 3e38)})
    said = r"NaN or infinity for 240 of 240 cells \(numbers 0, 1, 2, \.\.\.\) in float32 on cpu"
    with pytest.raises(ValueError, match=said):
        model.embed(cells, ctx)
    # the likeliest of tokens that are all NaN would be the first, and no answer
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.reconstruct(cells, ctx)
