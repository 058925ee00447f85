"""Pretraining scBERT's network to guess hidden bins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.genes.masking import Masked, masked
from trainables.networks.performer import ScBERTNetwork
from trainables.networks.precision import Precision, autocast, refuse_nan
from trainables.networks.processes import parted
from trainables.networks.training import Loss
from trainables.protocols import Pretrained


def guesses(network: ScBERTNetwork, some: Masked) -> Tensor:
    """A score for each of the seven tokens, wherever a bin is asked for."""
    device = network.token_emb.weight.device
    x = network.blocks(network.embed(torch.from_numpy(some.shown()).to(device)))
    row, column = (torch.from_numpy(place).to(device) for place in some.places(some.chosen))
    return network.to_out(network.norm(x[row, column]))


def hidden_loss(
    network: ScBERTNetwork, tokens: sparse.csr_matrix, redraw: int, seed: int, parts: int = 1
) -> Loss:
    """Cross-entropy over all bins asked for, hidden or not, as dist_pretrain.py has it."""

    def loss(rows: np.ndarray, draws: np.random.Generator) -> Iterator[Tensor]:
        network.redraw(redraw, seed)
        every = masked(tokens[rows], draws)
        asked = max(1, int(every.chosen.sum()))
        for here in parted(np.arange(len(rows)), parts):
            some = every.part(here[0], here[-1] + 1)
            said = guesses(network, some).float()
            truth = torch.from_numpy(some.asked(some.chosen)).to(said.device)
            yield cross_entropy(said, truth, reduction="sum") / asked

    return loss


def guessed(
    network: ScBERTNetwork,
    tokens: sparse.csr_matrix,
    rng: np.random.Generator,
    batch: int,
    precision: Precision,
) -> Pretrained:
    """The hidden bins of all cells, and the network's answers: the best of all seven tokens.

    Only what is hidden is scored, as in the authors' nog2v_explore.ipynb. What is hidden depends
    on `rng` and the tokens alone, so that every model is asked the same. Raises ValueError where
    a score is NaN or infinity.
    """
    device = network.token_emb.weight.device
    every, given = masked(tokens, rng), []
    answers: list[np.ndarray] = []
    with torch.no_grad(), autocast(device, precision):
        for start in range(0, tokens.shape[0], batch):
            some = every.part(start, start + batch)
            scores = guesses(network, some).float().cpu().numpy()
            answers += by_cell(scores.sum(axis=1), some)
            said = scores.argmax(axis=1)
            given.append(said[some.hidden[some.chosen]])
    refuse_nan(answers, precision, device, "scbert")
    return every.answered(np.concatenate(given))


def by_cell(scores: np.ndarray, some: Masked) -> list[np.ndarray]:
    """Scores of the places that are asked for, parted by cell."""
    row, _ = some.places(some.chosen)
    return np.split(scores, np.searchsorted(row, np.arange(1, some.tokens.shape[0])))
