"""scBERT's network beside the authors' own outputs, and beside the equations written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SHARED
from tests.trainables.networks import performer_reference as reference
from trainables.networks import kernels, weights
from trainables.networks.cell_types import freeze
from trainables.networks.generators import seeded
from trainables.networks.inference import threads
from trainables.networks.performer import Head, ScBERTNetwork, Size, official

FIXTURE = SHARED / "fixtures" / "scbert"
SMALL = Size(genes=30, dim=12, depth=2, heads=3, dim_head=8, ff_mult=2)


@pytest.fixture(scope="module")
def authors():
    """Inputs and outputs of the authors' code, and a loader of its weights."""
    if not FIXTURE.exists():
        pytest.skip("no ../shared/fixtures/scbert beside this checkout")
    given, expected = np.load(FIXTURE / "input.npz"), np.load(FIXTURE / "expected.npz")

    def network(stabiliser):
        state = weights.read(FIXTURE / "panglao_pretrain_tiny.pth")
        built = ScBERTNetwork(Size(120, 200, 2, 2, 64, 1), stabiliser)
        report = weights.load(built, state, source="fixture", rename=official)
        assert set(report.loaded) == set(built.state_dict())
        assert not report.missing + report.ignored
        assert len(report.loaded) == 35
        return built.eval()

    def tokens(name):
        return torch.from_numpy(given[name].astype(np.int64))

    return network, tokens, expected


def classifier():
    head = Head(Size(120, 200), 4)
    weights.load(
        head,
        weights.read(FIXTURE / "finetune_head.pth"),
        source="head",
        rename=lambda key: key.removeprefix("to_out."),
    )
    return head


def in_batches(network, tokens, size):
    with torch.no_grad():
        return torch.cat([network(some) for some in tokens.split(size)]).numpy()


@pytest.mark.parametrize("size", [1, 8])
def test_masked_bins_are_the_authors_in_paper_mode(authors, size):
    network, tokens, expected = authors
    said = in_batches(network("paper"), tokens("masked_tokens"), size)
    np.testing.assert_allclose(said, expected[f"mlm_logits_bs{size}"], rtol=0, atol=1e-5)


def test_per_cell_is_the_authors_batch_of_one_in_any_batch(authors):
    network, tokens, expected = authors
    built = network("per_cell")
    for size in (1, 3, 8, 40):
        said = in_batches(built, tokens("masked_tokens"), size)
        np.testing.assert_allclose(said, expected["mlm_logits_bs1"], rtol=0, atol=1e-5)


def test_encodings_and_the_loss_are_the_authors(authors):
    network, tokens, expected = authors
    built = network("paper")
    with torch.no_grad():
        one = built.encode(tokens("tokens")[:1])[0].numpy()
        means = np.concatenate(
            [built.encode(some).mean(dim=1).numpy() for some in tokens("tokens").split(1)]
        )
        labels = torch.from_numpy(np.load(FIXTURE / "input.npz")["mlm_labels"].astype(np.int64))
        loss = torch.nn.functional.cross_entropy(
            built(tokens("masked_tokens")[:8]).transpose(1, 2), labels[:8], ignore_index=6
        )
    np.testing.assert_allclose(one, expected["encodings_cell0"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(means, expected["encodings_bs1_mean"], rtol=0, atol=1e-5)
    assert loss.item() == pytest.approx(float(expected["mlm_loss_bs8_first"]), abs=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_the_heads_scores_are_the_authors(authors, size):
    network, tokens, expected = authors
    built = network("paper")
    built.to_out = classifier()
    said = in_batches(built, tokens("tokens"), size)
    np.testing.assert_allclose(said, expected[f"head_logits_bs{size}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("at_once", [512, 50])  # 121 positions in one piece, and in three
def test_fine_tuning_gradients_are_the_authors(authors, at_once, monkeypatch):
    monkeypatch.setattr(kernels, "POSITIONS", at_once)
    network, tokens, expected = authors
    built = network("paper")
    built.to_out = classifier()
    assert freeze(built, "second_to_last") == 0
    loss = torch.nn.functional.cross_entropy(built(tokens("tokens")[:3]), torch.tensor([0, 1, 2]))
    loss.backward()
    norms = {n: p.grad.norm().item() for n, p in built.named_parameters() if p.requires_grad}
    assert loss.item() == pytest.approx(float(expected["finetune_loss_bs3_first"]), abs=1e-6)
    assert list(norms) == expected["finetune_trainable_names"].tolist()
    np.testing.assert_allclose(list(norms.values()), expected["finetune_grad_norms"], rtol=1e-5)


def test_training_passes_are_counted_as_the_authors_count(authors):
    network, _, expected = authors
    built = network("paper")
    built.redraw(1000, seed=0)
    counted = built.state_dict()["performer.calls_since_last_redraw"]
    assert int(counted) == int(expected["calls_since_last_redraw_after_one_train_forward"])


def test_the_written_out_equations_are_the_authors(authors):
    network, tokens, expected = authors
    state = network("paper").state_dict()
    said = reference.encodings(state, tokens("masked_tokens")[:8].numpy(), heads=2)
    said = said @ state["to_out.weight"].numpy().T + state["to_out.bias"].numpy()
    np.testing.assert_allclose(said, expected["mlm_logits_bs8"][:8], rtol=0, atol=1e-5)


# ---- without the authors' outputs ------------------------------------------------------------


def small(stabiliser, seed=0, size=SMALL):
    with seeded(seed, "init"):
        network = ScBERTNetwork(size, stabiliser)
        for parameter in network.parameters():  # larger than at the start: maxima shall matter
            torch.nn.init.normal_(parameter, std=0.6)
    return network.eval()


def some_tokens(cells=6, size=SMALL, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 6, (cells, size.length)))


@pytest.mark.parametrize("gene2vec", [True, False])
def test_encodings_follow_the_equations(gene2vec):
    size = Size(30, 12, 2, 3, 8, 2, gene2vec)
    network, tokens = small("paper", size=size), some_tokens()
    expected = reference.encodings(network.state_dict(), tokens.numpy(), heads=3)
    with torch.no_grad():
        np.testing.assert_allclose(network.encode(tokens).numpy(), expected, rtol=0, atol=1e-4)
        alone = small("per_cell", size=size).encode(tokens).numpy()
    for cell in range(len(tokens)):
        expected = reference.encodings(
            network.state_dict(), tokens[cell : cell + 1].numpy(), heads=3
        )
        np.testing.assert_allclose(alone[cell : cell + 1], expected, rtol=0, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(0, 5))
def test_a_cell_does_not_depend_on_its_batch(size, seed):
    network, tokens = small("per_cell"), some_tokens(9, seed=seed)
    whole = in_batches(network, tokens, 9)
    np.testing.assert_allclose(in_batches(network, tokens, size), whole, rtol=0, atol=2e-6)


def test_in_paper_mode_it_does():
    network, tokens = small("paper"), some_tokens(9)
    assert abs(in_batches(network, tokens, 1) - in_batches(network, tokens, 9)).max() > 1e-3


@pytest.mark.parametrize("together", [True, False])
def test_the_way_back_is_the_slope_of_the_way_there(together, monkeypatch):
    monkeypatch.setattr(kernels, "POSITIONS", 4)  # of 6: two pieces
    draws = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 3, 3, 6, 5, generator=draws, dtype=torch.float64).requires_grad_()
    directions = torch.randn(7, 5, generator=draws, dtype=torch.float64)
    for in_cache in (0, 100, 2**17):  # head by head, two of a cell, all at once
        monkeypatch.setattr(kernels, "IN_CACHE", in_cache)
        given = (q, k, v, directions, together)
        assert torch.autograd.gradcheck(kernels.Kernel.apply, given, fast_mode=True)


@pytest.mark.parametrize("stabiliser", ["paper", "per_cell"])
def test_pieces_and_threads_change_neither_encodings_nor_gradients(stabiliser, monkeypatch):
    def asked(at_once, workers):
        monkeypatch.setattr(kernels, "POSITIONS", at_once)
        monkeypatch.setattr(kernels, "IN_CACHE", at_once)
        network = small(stabiliser)
        with threads(workers):
            said = network(some_tokens())
            said.square().mean().backward()
        gradients = {n: p.grad for n, p in network.named_parameters() if p.requires_grad}
        return {"said": said.detach(), **gradients}

    whole, parts = asked(2**17, 1), asked(4, 1)
    for name, one in whole.items():
        torch.testing.assert_close(one, parts[name], rtol=1e-4, atol=1e-6)
        assert one.abs().sum() > 0
    again = asked(4, 2)
    torch.testing.assert_close(parts, again, rtol=1e-5, atol=1e-7)


def test_features_are_redrawn_when_asked_and_the_same_way_for_everyone():
    def matrices(network):
        kept = network.state_dict()
        return torch.cat([v for k, v in kept.items() if k.endswith("projection_matrix")])

    one, other, unasked = small("per_cell"), small("per_cell"), small("per_cell")
    before = matrices(one).clone()
    for _ in range(3):
        one.redraw(3, seed=7)
    assert torch.equal(matrices(one), before)
    one.redraw(3, seed=7)
    assert not torch.equal(matrices(one), before)
    torch.rand(5)  # whatever else is drawn in between
    for _ in range(4):
        other.redraw(3, seed=7)
        unasked.redraw(0, seed=7)
    assert torch.equal(matrices(one), matrices(other))
    assert torch.equal(matrices(unasked), before)
    for _ in range(4):
        one.redraw(3, seed=7)
    assert not torch.equal(matrices(one), matrices(other))


def test_positions_are_frozen_and_the_appended_token_has_none():
    network = small("per_cell")
    network.place(np.ones((30, 12)))
    placed = network.state_dict()["pos_emb.emb.weight"]
    assert torch.equal(placed[-1], torch.zeros(12))
    assert torch.equal(placed[:-1], torch.ones(30, 12))
    assert "pos_emb.emb.weight" not in {n for n, p in network.named_parameters() if p.requires_grad}
    with pytest.raises(ValueError, match=r"\(31, 12\) and the network needs \(30, 12\)"):
        network.place(np.ones((31, 12)))


def test_performer_pytorchs_own_key_names_are_understood():
    network = small("per_cell")
    state = dict(network.state_dict())
    count = state.pop("performer.calls_since_last_redraw")
    state["performer.proj_updater.calls_since_last_redraw"] = count
    copy = "performer.net.layers.0.0.norm.weight"
    state[copy.replace("net.", "proj_updater.instance.")] = state[copy]
    report = weights.load(small("per_cell", seed=1), state, source="x", rename=official)
    assert not report.missing
    assert "performer.calls_since_last_redraw" in report.loaded
