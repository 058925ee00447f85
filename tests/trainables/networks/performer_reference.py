"""scBERT's forward pass written out in float64, position by position where that is readable.

From the equations (Choromanski et al. 2021), for tests: slow, and sharing
nothing with the code under test.
"""

import math

import numpy as np


def layer_norm(x, weight, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * weight + bias


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def encodings(state, tokens, heads):
    """Cells x positions x dim; one maximum over all these cells, as the authors' kernel has it."""
    state = {key: np.asarray(value, dtype=np.float64) for key, value in state.items()}
    x = state["token_emb.weight"][tokens]
    if "pos_emb.emb.weight" in state:
        x = x + state["pos_emb.emb.weight"]
    block = 0
    while f"performer.net.layers.{block}.0.norm.weight" in state:
        at = f"performer.net.layers.{block}."
        own = {k.removeprefix(at): v for k, v in state.items() if k.startswith(at)}
        x = x + attention(layer_norm(x, own["0.norm.weight"], own["0.norm.bias"]), own, heads)
        h = layer_norm(x, own["1.norm.weight"], own["1.norm.bias"])
        h = gelu(h @ own["1.fn.fn.w1.weight"].T + own["1.fn.fn.w1.bias"])
        x = x + h @ own["1.fn.fn.w2.weight"].T + own["1.fn.fn.w2.bias"]
        block += 1
    return layer_norm(x, state["norm.weight"], state["norm.bias"])


def attention(x, own, heads):
    omega = own["0.fn.fast_attention.projection_matrix"]
    m, d = omega.shape
    per_head = {}
    for name in "qkv":
        wide = x @ own[f"0.fn.to_{name}.weight"].T
        per_head[name] = wide.reshape(*x.shape[:2], heads, d).swapaxes(1, 2)
    exponents = {name: (per_head[name] / d**0.25) @ omega.T for name in "qk"}
    halves = {name: (per_head[name] ** 2).sum(-1, keepdims=True) / 2 / np.sqrt(d) for name in "qk"}
    top = {"q": exponents["q"].max(-1, keepdims=True), "k": exponents["k"].max()}
    phi = {n: (np.exp(exponents[n] - halves[n] - top[n]) + 1e-4) / np.sqrt(m) for n in "qk"}
    similarity = phi["q"] @ phi["k"].swapaxes(-1, -2)  # positions x positions: the slow way
    similarity /= similarity.sum(-1, keepdims=True)
    out = (similarity @ per_head["v"]).swapaxes(1, 2).reshape(*x.shape[:2], heads * d)
    return out @ own["0.fn.to_out.weight"].T + own["0.fn.to_out.bias"]
