"""scBERT's own code against `PerformerLM` of performer_pytorch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from contests import CLASSES, Arm, Contest, stepped, warm
from scipy.sparse import csr_matrix

from trainables.networks.precision import autocast
from trainables.protocols import Context


def scbert(asked: argparse.Namespace, ctx: Context) -> Iterator[Contest]:
    """See the head of `finetune.py`."""
    from performer_pytorch import PerformerLM

    from trainables.genes import panel
    from trainables.networks import performer
    from trainables.networks.cell_types import Trunk, freeze, with_head

    place = torch.device(ctx.device)

    def built(genes: int) -> tuple[Any, Any]:
        """Theirs and ours."""
        size = performer.Size(genes)
        ours = performer.ScBERTNetwork(size)
        shape: dict[str, Any] = {"dim": size.dim, "depth": size.depth, "heads": size.heads}
        shape |= {"rotary_position_emb": False, "attn_out_bias": True, "auto_check_redraw": False}
        theirs: Any = PerformerLM(num_tokens=performer.TOKENS, max_seq_len=size.length, **shape)
        theirs.load_state_dict(ours.state_dict(), strict=False)
        ours = with_head(ours, CLASSES, 0)
        theirs.to_out = performer.Head(size, CLASSES)
        theirs.to_out.load_state_dict(ours.to_out.state_dict())
        freeze(ours, "last")
        theirs.requires_grad_(False)
        for part in (theirs.norm, theirs.performer.net.layers[-1], theirs.to_out):
            part.requires_grad_(True)
        return theirs.to(place), ours.to(place)

    def contests(genes: int, n: int, trained: int) -> Iterator[Contest]:
        theirs, ours = built(genes)
        size, last = ours.size, ours.size.depth - 1
        filled = np.random.default_rng(0).integers(0, 6, (max(n, trained), genes))
        tokens = csr_matrix(filled.astype(np.float32))
        dense = torch.from_numpy(panel.dense(tokens)).to(place)
        heads = size.heads * size.dim_head
        features = 4 * heads * performer_features(ours) * 2
        maps = 2 * (4 * size.dim * heads + 2 * size.dim**2 * size.ff_mult)
        block = float(size.length * (maps + features))
        truth = torch.arange(trained, device=place) % CLASSES

        def peer_embeds() -> np.ndarray:
            with torch.no_grad(), autocast(place, "bfloat16"):
                said = [theirs(one[None], return_encodings=True).mean(dim=1) for one in dense[:n]]
            return torch.cat(said).float().cpu().numpy()

        def peer_learns() -> None:
            with autocast(place, "bfloat16"):
                loss = F.cross_entropy(theirs(dense[:trained]).float(), truth)
            stepped(theirs, [loss])

        trunk = Trunk(ours, tokens, last, True, "bfloat16")
        everyone = np.arange(trained)
        kept = trunk(everyone).clone()

        def we_learn(before: Callable[[], Any]) -> None:
            with autocast(place, "bfloat16"):
                said = ours.to_out(ours.norm(ours.blocks(before(), last)))
            stepped(ours, [F.cross_entropy(said.float(), truth)])

        whole, learnt = n * size.depth * block, trained * (size.depth + 2) * block
        yield Contest(
            f"embedding, {genes} genes",
            n,
            [
                Arm("", peer_embeds, whole),
                Arm("", lambda: performer.means(ours, tokens[:n], 8, "bfloat16", ctx.cpus), whole),
            ],
        )
        yield Contest(
            f"fine-tuning, {genes} genes",
            trained,
            [
                Arm("", peer_learns, learnt),
                Arm("first epoch", lambda: we_learn(lambda: trunk(everyone)), learnt),
                Arm("later epochs", lambda: we_learn(lambda: kept), trained * 3 * block),
            ],
        )

    warm(contests(50, 1, 1))
    for genes in asked.genes:
        yield from contests(genes, asked.cells, asked.trained)


def performer_features(network: Any) -> int:
    """Random features of a head."""
    return network.layers[0][0].fn.fast_attention.nb_features
