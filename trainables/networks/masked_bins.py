"""Pretraining scBERT's network to guess hidden bins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.genes.masking import Masked, masked
from trainables.networks.performer import ScBERTNetwork
from trainables.networks.training import Precision, autocast


def guesses(network: ScBERTNetwork, some: Masked) -> Tensor:
    """A score for each of the seven tokens, wherever a bin is asked for."""
    device = network.token_emb.weight.device
    x = network.blocks(network.embed(torch.from_numpy(some.shown()).to(device)))
    row, column = (torch.from_numpy(place).to(device) for place in some.places(some.chosen))
    return network.to_out(network.norm(x[row, column]))


def hidden_loss(
    network: ScBERTNetwork, tokens: sparse.csr_matrix, redraw: int, seed: int
) -> Callable[[np.ndarray, np.random.Generator], Tensor]:
    """Cross-entropy over all bins asked for, hidden or not, as dist_pretrain.py has it."""

    def loss(rows: np.ndarray, draws: np.random.Generator) -> Tensor:
        network.redraw(redraw, seed)
        some = masked(tokens[rows], draws)
        said = guesses(network, some).float()
        truth = torch.from_numpy(some.asked(some.chosen)).to(said.device)
        return cross_entropy(said, truth, reduction="sum") / max(1, len(truth))

    return loss


def guessed(
    network: ScBERTNetwork,
    tokens: sparse.csr_matrix,
    rng: np.random.Generator,
    batch: int,
    precision: Precision,
) -> tuple[np.ndarray, np.ndarray]:
    """The hidden bins of all cells, and the network's: the best of all seven tokens.

    Only what is hidden is scored, as in the authors' nog2v_explore.ipynb. What is hidden depends
    on `rng` and the tokens alone, so that every model is asked the same.
    """
    device = network.token_emb.weight.device
    every, given = masked(tokens, rng), []
    with torch.no_grad(), autocast(device, precision):
        for start in range(0, tokens.shape[0], batch):
            some = every.part(start, start + batch)
            said = guesses(network, some).argmax(dim=-1).cpu().numpy()
            given.append(said[some.hidden[some.chosen]])
    return every.asked(every.hidden), np.concatenate(given)
