"""scGPT's own code against the `scgpt` package's network, or torch's encoder."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from contests import CLASSES, Contest, encoder_flops, in_kinds, stepped, warm
from scipy.sparse import csr_matrix
from torch import nn

from trainables.genes.tokens import Tokens
from trainables.networks.inference import asked as asked_of
from trainables.networks.precision import autocast
from trainables.protocols import Context


def scgpt(asked: argparse.Namespace, ctx: Context) -> Iterator[Contest]:
    """See the head of `finetune.py`."""
    from trainables.networks.scgpt import Architecture, ScGPTNetwork
    from trainables.networks.scgpt_authors import authors_network, installed
    from trainables.networks.scgpt_runs import class_loss, tensors

    place, longest = torch.device(ctx.device), asked.longest or 1200
    shape = Architecture(tokens=60_697, pad=60_694, classes=CLASSES, mvc=False)
    print("peer:", "scgpt 0.2.4" if installed() else "torch's encoder, as scgpt is not installed")
    ours: Any = ScGPTNetwork(shape).to(place)
    theirs: Any = authors_network(shape) if installed() else with_torchs_encoder(shape)
    theirs.load_state_dict(ours.state_dict())
    theirs.to(place)

    def some_cells(lengths: np.ndarray) -> Tokens:
        """Random genes in random bins; one token more is `<cls>`."""
        rng = np.random.default_rng(0)
        columns = np.concatenate([rng.permutation(shape.pad)[: n - 1] for n in lengths])
        starts = np.concatenate([[0], np.cumsum(lengths - 1)])
        bins = rng.integers(1, 51, len(columns)).astype(np.float32)
        binned = csr_matrix((bins, columns, starts), shape=(len(lengths), shape.pad))
        return Tokens(binned, np.arange(shape.pad), shape.pad, shape.pad + 1, 0.0)

    def peer_embeds(cells: Tokens) -> np.ndarray:
        theirs.eval()
        with torch.no_grad(), autocast(place, "bfloat16"):
            batch = tensors(cells, np.arange(len(cells.lengths)), place)
            said = theirs._encode(*batch)[:, 0] if installed() else theirs(*batch)["cell_emb"]
        return said.float().cpu().numpy()

    def we_embed(cells: Tokens) -> np.ndarray:
        ours.eval()

        def answer(rows: np.ndarray) -> np.ndarray:
            with autocast(place, "bfloat16"):
                said = ours(*tensors(cells, rows, place))["cell_emb"]
            return said.float().cpu().numpy()

        said = asked_of(answer, cells.lengths, place, ctx.cpus)
        return np.concatenate(list(said))

    def peer_learns(cells: Tokens) -> None:
        theirs.train()
        rows = np.arange(len(cells.lengths))
        with autocast(place, "bfloat16"):
            said = theirs(*tensors(cells, rows, place), want=("cls_output",))["cls_output"]
            loss = F.cross_entropy(said, torch.from_numpy(rows % CLASSES).to(place))
        stepped(theirs, [loss])

    def we_learn(cells: Tokens) -> None:
        ours.train()
        rows = np.arange(len(cells.lengths))
        with autocast(place, "bfloat16"):
            terms = class_loss(ours, cells, rows % CLASSES)(rows, np.random.default_rng(0))
            stepped(ours, terms)

    def contests(longest: int, n: int, trained: int) -> Iterator[Contest]:
        def flops(lengths: np.ndarray) -> float:
            return encoder_flops(lengths, 512, 512, 12)

        embed, learn = (peer_embeds, we_embed), (peer_learns, we_learn)
        yield from in_kinds("embedding", longest, n, some_cells, embed, flops)
        yield from in_kinds("fine-tuning", longest, trained, some_cells, learn, flops, passes=3)

    warm(contests(40, 2, 2))
    yield from contests(longest, asked.cells, asked.trained)


def with_torchs_encoder(shape: Any) -> nn.Module:
    """Our network with torch's encoder inside, which knows no shortcut for `<cls>`."""
    from trainables.networks.scgpt import ScGPTNetwork

    class StandIn(nn.TransformerEncoder):
        def forward(self, x: Any, padding: Any, asking: Any = None) -> Any:  # type: ignore[override]
            return super().forward(x, src_key_padding_mask=padding)

    network = ScGPTNetwork(shape)
    layer = nn.TransformerEncoderLayer(
        shape.width, shape.heads, shape.hidden, shape.dropout, batch_first=True
    )
    network.transformer_encoder = StandIn(layer, shape.layers)  # type: ignore[assignment]
    return network
