"""Attention with dropout on CPU: torch's arithmetic, and draws that can be had again."""

import numpy as np
import pytest
import torch
from torch import nn

from trainables.networks.attention import Dropped, drop, dropped_attention
from trainables.networks.inference import threads
from trainables.networks.transformer import Encoder

LENGTHS, P, SEED = (300, 170), 0.2, 123


def inputs(dtype, shape=(2, 3, 300, 8)):
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=rng, dtype=dtype, requires_grad=True) for _ in range(3)]


def drawn(shape, key, first=0, dtype=np.float64):
    """What weights of one are after dropping."""
    weights = np.ones((1, *shape), dtype=dtype)
    drop(weights, P, key, first)
    return weights[0]


def as_torch_would(q, k, v):
    """All weights and all draws written out."""
    factors = torch.zeros(2, 3, 300, 300, dtype=q.dtype)
    for cell, n in enumerate(LENGTHS):
        for head in range(3):
            factors[cell, head, :n, :n] = torch.from_numpy(drawn((n, n), SEED + cell * 3 + head))
    there = torch.arange(300) < torch.tensor(LENGTHS)[:, None]
    scores = (q @ k.transpose(-1, -2) * 8**-0.5).masked_fill(~there[:, None, None, :], -torch.inf)
    return (scores.softmax(dim=-1) * factors) @ v * there[:, None, :, None]


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-13), (torch.float32, 5e-6)])
def test_values_and_gradients_are_those_of_written_out_attention(dtype, atol):
    q, k, v = inputs(dtype)
    ours, theirs = Dropped.apply(q, k, v, LENGTHS, P, SEED), as_torch_would(q, k, v)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)
    back = torch.ones_like(ours).cumsum(-1)
    for mine, other in zip(
        torch.autograd.grad(ours, (q, k, v), back),
        torch.autograd.grad(theirs, (q, k, v), back),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=20 * atol)


def test_the_number_of_threads_changes_no_bit():
    found = []
    for n in (1, 2):
        q, k, v = inputs(torch.float32)
        with threads(n):
            out = Dropped.apply(q, k, v, LENGTHS, P, SEED)
            out.sum().backward()
        found.append([out, q.grad, k.grad, v.grad])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_fifth_is_dropped_everywhere_alike():
    factors = drawn((400, 403), 7, dtype=np.float32)
    dropped = factors == 0
    assert set(np.unique(factors)) == {0, np.float32(65536 / (65536 - 13107))}
    assert dropped.mean() == pytest.approx(0.2, abs=0.004)
    for axis in (0, 1):
        assert np.abs(dropped.mean(axis=axis) - 0.2).max() < 0.11  # five standard errors
    both = (dropped[:, :-1] & dropped[:, 1:]).mean()
    assert both == pytest.approx(0.04, abs=0.003)
    again = drawn((100, 403), 7, first=300, dtype=np.float32)
    np.testing.assert_array_equal(again, factors[300:])
    other = drawn((400, 403), 8) == 0
    assert (dropped & other).mean() == pytest.approx(0.04, abs=0.003)


def test_torch_s_seed_decides_the_draws():
    q, k, v = inputs(torch.float32)
    said = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            said.append(dropped_attention(q, k, v, LENGTHS, P))
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])


def test_an_encoder_is_torch_s_own_without_dropout():
    torch_s = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(32, 4, 48, 0.0, batch_first=True), 3, enable_nested_tensor=False
    )
    ours = Encoder(32, 4, 48, 3, 0.0)
    ours.load_state_dict(torch_s.state_dict())
    x, padding = torch.randn(2, 9, 32), torch.zeros(2, 9, dtype=torch.bool)
    padding[1, 5:] = True
    said, theirs = ours(x, padding), torch_s(x, src_key_padding_mask=padding)
    torch.testing.assert_close(said[~padding], theirs[~padding], rtol=0, atol=1e-6)
    torch.testing.assert_close(ours(x, padding, asking=1), said[:, :1], rtol=0, atol=1e-6)


def test_all_layers_start_as_copies_of_the_first():
    """As in torch's encoder, and so in every model that was trained from scratch with it."""
    encoder = Encoder(16, 2, 16, 3, 0.1)
    for key, value in encoder.layers[0].state_dict().items():
        assert torch.equal(value, encoder.layers[2].state_dict()[key])
