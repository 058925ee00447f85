"""scGPT's network: the authors' outputs, from either back-end, whatever dialect a file speaks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import nn

from trainables.genes.binning import quantile_bins, tie_draws
from trainables.genes.tokens import Tokens
from trainables.networks import weights
from trainables.networks.scgpt import (
    OUTPUTS,
    Architecture,
    contrast,
    elastic_similarity,
    masked_mse,
)
from trainables.networks.scgpt_authors import installed
from trainables.networks.scgpt_checkpoint import Checkpoint, build, official, plain

BACKENDS = [
    "fast",
    pytest.param(
        "authors",
        marks=pytest.mark.skipif(not installed(), reason="the extra scgpt is not installed"),
    ),
]
ATOL = 1e-5
GIVEN_BACK = ("mlm_output", "mvc_output")
PAD = 200
SMALL = Architecture(tokens=203, pad=PAD, width=64, heads=4, hidden=64, layers=2, classes=5)


@pytest.fixture(scope="module")
def reference():
    """Four cells of the authentic 0.2.4 wheel with random weights, carried with the tests."""
    return np.load(Path(__file__).with_name("scgpt_reference.npz"))


@pytest.fixture(scope="module")
def fixture(shared_data):
    """All that the authentic wheel said; beside a developer's checkout."""
    place = shared_data.parent / "fixtures" / "scgpt"
    return place, np.load(place / "input.npz"), np.load(place / "expected.npz")


def state_of(reference):
    prefix = "weights/"
    names = [key for key in reference.files if key.startswith(prefix)]
    return {key.removeprefix(prefix): torch.from_numpy(reference[key]) for key in names}


def loaded(backend, state, shape=SMALL):
    network = build(shape, backend)
    weights.load(network, state, source="a test")
    return network.eval()


def asked(network, ids, values, want, **more):
    ids = torch.from_numpy(np.asarray(ids)).long()
    with torch.no_grad():
        return network(ids, torch.from_numpy(values), ids == PAD, want=want, **more)


def without_dropout(network):
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return network


def assert_close(found, expected, atol=ATOL):
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=atol)


# ---- the cells that are carried ----------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_are_those_of_the_authors(backend, reference):
    network = loaded(backend, state_of(reference))
    ids, values = reference["fwd_nonzero_ids"], reference["fwd_nonzero_masked"]
    said = asked(network, ids, values, ("mlm_output", "mvc_output", "cls_output"))
    there = ids != PAD
    for name in ("mvc_output", "cls_output", "cell_emb"):
        assert_close(said[name], reference[f"fwd_nonzero_{name}"])
    assert_close(said["mlm_output"][there], reference["fwd_nonzero_mlm_output"][there])


def test_a_cell_s_own_outputs_do_not_need_the_tokens_of_the_last_layer(reference):
    """What is computed for `<cls>` alone is what is computed for all."""
    network = loaded("fast", state_of(reference))
    inputs = reference["fwd_nonzero_ids"], reference["fwd_nonzero_masked"]
    alone = asked(network, *inputs, ("cell_emb", "cls_output", "mvc_output"))
    among_all = asked(network, *inputs, ("mlm_output", "cls_output", "mvc_output"))
    for name in ("cell_emb", "cls_output", "mvc_output"):
        assert_close(alone[name], among_all[name].numpy(), atol=2e-6)


def test_bins_of_the_authors_draws_and_of_ours_lie_where_they_may(reference):
    x = csr_matrix(reference["counts"].astype(np.float32))
    starts = x.indptr[1:-1]
    where = [(i, slice(1, 1 + n)) for i, n in enumerate(np.diff(x.indptr))]
    theirs = np.concatenate([reference["counts_bins"][i][part] for i, part in where])
    np.testing.assert_array_equal(quantile_bins(x, 51, reference["draws"]), theirs)
    ours = np.split(quantile_bins(x, 51, tie_draws(x, list("abcd"), 0)), starts)
    for (i, part), bins in zip(where, ours, strict=True):
        assert (bins >= reference["counts_bin_lo"][i][part]).all()
        assert (bins <= reference["counts_bin_hi"][i][part]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_embeddings_of_counts_follow_from_their_bins(backend, reference):
    x = csr_matrix(reference["counts"].astype(np.float32))
    x.data = quantile_bins(x, 51, reference["draws"]).astype(np.float32)
    tokens = Tokens(x, reference["kept_gene_ids"].astype(np.int64), PAD, 201, -2.0)
    network = loaded(backend, state_of(reference))
    ids, values, padding = map(torch.from_numpy, tokens.padded(np.arange(4)))
    with torch.no_grad():
        embedding = network(ids, values, padding)["cell_emb"]
    assert_close(embedding, reference["counts_cls_hidden"], atol=2e-6)
    assert_close(F.normalize(embedding), reference["counts_cell_emb_l2"], atol=2e-6)


# ---- the whole fixture -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("tag", ["full", "nonzero"])
def test_the_fixture_s_outputs_and_losses(backend, tag, fixture):
    place, given, expected = fixture
    network = loaded(backend, weights.read(place / "best_model_plain.pt"))
    ids, values = given[f"fwd_{tag}_ids"], given[f"fwd_{tag}_masked"]
    said = asked(network, ids, values, ("mlm_output", "mvc_output", "cls_output"))
    there, hidden = ids != PAD, torch.from_numpy(values == -1)
    for name in ("mvc_output", "cls_output", "cell_emb"):
        assert_close(said[name], expected[f"fwd_{tag}_{name}"])
    for name in ("mlm_output", "mlm_output_slowpath"):
        assert_close(said["mlm_output"][there], expected[f"fwd_{tag}_{name}"][there])
    truth = torch.from_numpy(given[f"fwd_{tag}_target"])
    losses = {
        "mse_gep": masked_mse(said["mlm_output"], truth, hidden),
        "mse_gepc": masked_mse(said["mvc_output"], truth, hidden),
        "ecs": elastic_similarity(said["cell_emb"]),
        "cce": contrast(said["cell_emb"], said["cell_emb"]),
    }
    for name, loss in losses.items():
        assert float(loss) == pytest.approx(float(expected[f"fwd_{tag}_loss_{name}"]), abs=ATOL)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_fixture_s_gradients(backend, fixture):
    place, given, expected = fixture
    network = loaded(backend, weights.read(place / "best_model_plain.pt"))
    without_dropout(network).train()
    ids = torch.from_numpy(given["fwd_nonzero_ids"]).long()
    values = torch.from_numpy(given["fwd_nonzero_masked"])
    truth, hidden = torch.from_numpy(given["fwd_nonzero_target"]), values == -1
    said = network(ids, values, ids == PAD, want=(*GIVEN_BACK, "cls_output"))
    loss = sum(masked_mse(said[name], truth, hidden) for name in GIVEN_BACK)
    loss = loss + 10 * elastic_similarity(said["cell_emb"])
    loss = loss + F.cross_entropy(said["cls_output"], torch.arange(40) % 5)
    loss.backward()
    assert loss.item() == pytest.approx(float(expected["train_loss_total"]), abs=ATOL)
    named = dict(network.named_parameters())
    norms = [named[name].grad.norm().item() for name in expected["train_grad_names"]]
    np.testing.assert_allclose(norms, expected["train_grad_norms"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_the_integration_variant(backend, batch, fixture):
    place, given, expected = fixture
    shape = Architecture(
        tokens=203, pad=PAD, width=64, heads=4, hidden=64, layers=2, batches=3, classes=1
    )
    network = loaded(backend, weights.read(place / "integration_model.pt"), shape)
    rows = given["batch_labels"] == batch
    ids, values = given["fwd_nonzero_ids"][rows], given["fwd_nonzero_masked"][rows]
    labels = torch.from_numpy(given["batch_labels"][rows])
    said = asked(network, ids, values, OUTPUTS, batch=labels)
    there = ids != PAD
    for name in ("cell_emb", "mvc_output", "mvc_zero_probs", "dab_output"):
        assert_close(said[name], expected[f"integ_b{batch}_{name}"])
    for name in ("mlm_output", "mlm_zero_probs"):
        assert_close(said[name][there], expected[f"integ_b{batch}_{name}"][there])
    ecs = elastic_similarity(said["cell_emb"], 0.8)
    assert float(ecs) == pytest.approx(float(expected[f"integ_b{batch}_loss_ecs"]), abs=ATOL)


@pytest.mark.parametrize("tag", ["continuous", "counts"])
def test_the_fixture_s_tokens_and_bins(tag, fixture):
    _, given, expected = fixture
    x = csr_matrix(given[tag][:, expected["kept_gene_index"]])
    rng = np.random.RandomState(0)
    x.data = quantile_bins(x, 51, np.concatenate([rng.rand(n) for n in np.diff(x.indptr)]))
    tokens = Tokens(x, expected["kept_gene_ids"], PAD, 201, -2.0)
    ids, values, padding = tokens.padded(np.arange(40))
    np.testing.assert_array_equal(ids, expected[f"{tag}_token_ids"])
    np.testing.assert_array_equal(values, expected[f"{tag}_bins"])
    np.testing.assert_array_equal(padding, ids == PAD)


# ---- dialects and mismatches -------------------------------------------------------------------


def folder_of(place, state, tokens=203, **args):
    """A checkpoint folder of these tensors."""
    place.mkdir(exist_ok=True)
    torch.save(state, place / "best_model.pt")
    known = {"embsize": 64, "nheads": 4, "d_hid": 64, "nlayers": 2, "n_layers_cls": 3, "n_bins": 51}
    (place / "args.json").write_text(json.dumps(known | args))
    names = [f"GENE{i:03}" for i in range(PAD)] + ["<pad>", "<cls>", "<eoc>"]
    names += [f"EXTRA{i}" for i in range(tokens - len(names))]
    (place / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    return Checkpoint(place)


def flash2(key):
    return official(key).replace(".self_attn.", ".self_attn._impl.")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dialect", [plain, official, flash2])
def test_every_dialect_loads_to_the_same_network(backend, dialect, reference, tmp_path):
    state = state_of(reference)
    renamed = {dialect(key): value for key, value in state.items()}
    renamed["flag_encoder.weight"] = torch.zeros(2, 64)
    known = folder_of(tmp_path, renamed)
    network = build(known.architecture(mvc=True), backend)
    found = known.load_into(network)
    assert set(found.missing) == {k for k in network.state_dict() if k.startswith("cls_decoder.")}
    assert set(map(plain, found.ignored)) == {
        "flag_encoder.weight",
        *(key for key in state if key.startswith("cls_decoder.")),
    }
    for key, value in network.state_dict().items():
        if not key.startswith("cls_decoder."):
            assert torch.equal(value, state[key]), key


def test_a_vocabulary_with_one_token_more_is_refused(reference, tmp_path):
    """`load_pretrained` leaves the embedding random: a cosine of 0.72 to the right one."""
    known = folder_of(tmp_path, state_of(reference), tokens=204)
    with pytest.raises(ValueError, match=r"204 tokens and the weights 203"):
        known.load_into(build(known.architecture(mvc=True)))


def test_a_fused_file_into_a_network_of_another_name_leaves_nothing_random(reference, tmp_path):
    """The papers' scripts compare names only, and lose every attention projection."""
    fused = {official(key): value for key, value in state_of(reference).items()}
    network = build(SMALL)
    with pytest.raises(ValueError, match="in_proj_weight"):
        weights.load(network, fused, source="a script without renaming")
    known = folder_of(tmp_path, fused)
    known.load_into(network, head=True)
    assert torch.equal(
        network.state_dict()["transformer_encoder.layers.1.self_attn.in_proj_weight"],
        state_of(reference)["transformer_encoder.layers.1.self_attn.in_proj_weight"],
    )


def test_weights_without_gepc_are_refused_where_it_is_asked_for(reference, tmp_path):
    state = {k: v for k, v in state_of(reference).items() if not k.startswith("mvc_decoder.")}
    known = folder_of(tmp_path, state)
    known.load_into(build(known.architecture(mvc=False)))
    with pytest.raises(ValueError, match="lacks mvc_decoder"):
        known.load_into(build(known.architecture(mvc=True)))


def test_another_number_of_classes_gets_a_head_of_its_own(reference, tmp_path):
    known = folder_of(tmp_path, state_of(reference))
    network = build(known.architecture(classes=11, mvc=False))
    known.load_into(network)
    assert network.cls_decoder.out_layer.weight.shape == (11, 64)
    with pytest.raises(ValueError, match=r"another shape cls_decoder\.out_layer"):
        known.load_into(network, head=True)


def test_another_depth_is_refused(reference, tmp_path):
    for layers, key in ((3, r"lacks .*layers\.2"), (1, r"has, and the model has not.*layers\.1")):
        known = folder_of(tmp_path, state_of(reference), nlayers=layers)
        with pytest.raises(ValueError, match=key):
            known.load_into(build(known.architecture(mvc=True)))


def test_a_folder_says_what_it_lacks(reference, tmp_path):
    folder_of(tmp_path, state_of(reference))
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ValueError, match=r"lacks vocab\.json"):
        Checkpoint(tmp_path)
    known = folder_of(tmp_path, state_of(reference), input_emb_style="category")
    with pytest.raises(ValueError, match="only weights with 'continuous'"):
        known.architecture(mvc=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_labels_are_one_a_minibatch_and_only_where_they_belong(backend):
    shape = Architecture(
        tokens=203, pad=PAD, width=64, heads=4, hidden=64, layers=1, batches=3, classes=1
    )
    ids, values = np.full((2, 3), 201), np.zeros((2, 3), dtype=np.float32)
    network = build(shape, "fast").eval()
    with pytest.raises(ValueError, match="minibatches of one batch"):
        asked(network, ids, values, ("cell_emb",), batch=torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="needs batch labels"):
        asked(build(shape, backend).eval(), ids, values, ("cell_emb",))
    with pytest.raises(ValueError, match="takes no batch labels"):
        asked(build(SMALL, backend).eval(), ids, values, ("cell_emb",), batch=torch.tensor([0, 0]))


def test_the_authors_package_is_imported_without_leaving_half_of_it_behind():
    import sys

    if not installed():
        with pytest.raises(LookupError, match="uv sync --extra scgpt"):
            build(SMALL, "authors")
        return
    build(SMALL, "authors")
    assert not [name for name in sys.modules if name.split(".")[0] == "scgpt"]
    assert "torchtext" not in sys.modules
