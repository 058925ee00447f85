"""Geneformer's own code against the BERT of transformers, driven as the authors do."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from contests import CLASSES, Contest, encoder_flops, in_kinds, stepped, warm

from trainables.networks.precision import autocast
from trainables.networks.training import Plan
from trainables.protocols import Context


def geneformer(asked: argparse.Namespace, ctx: Context) -> Iterator[Contest]:
    """See the head of `finetune.py`; V1 with six layers."""
    from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

    from trainables.networks.geneformer import built
    from trainables.networks.geneformer_runs import Run
    from trainables.networks.geneformer_tokens import Ranked

    place, longest = torch.device(ctx.device), asked.longest or 2048

    def shape() -> BertConfig:
        sizes = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4}
        sizes |= {"intermediate_size": 512, "max_position_embeddings": 2048, "vocab_size": 25_426}
        drops = {"hidden_dropout_prob": 0.02, "attention_probs_dropout_prob": 0.02}
        return BertConfig(**sizes, **drops, hidden_act="relu", pad_token_id=0)

    masked, classed = built(shape(), 0).to(place), built(shape(), 0, CLASSES).to(place)
    peer_shape = shape()
    peer_shape.num_labels = CLASSES
    their_masked = BertForMaskedLM(shape())
    their_classed = BertForSequenceClassification(peer_shape)
    their_masked.load_state_dict(masked.state_dict())
    their_classed.load_state_dict(classed.state_dict())
    their_masked.to(place).eval()
    their_classed.to(place)

    def some_cells(lengths: np.ndarray) -> Ranked:
        rng = np.random.default_rng(0)
        ids = rng.integers(2, 25_426, (len(lengths), lengths.max())).astype(np.int32)
        ids[np.arange(ids.shape[1]) >= lengths[:, None]] = 0
        return Ranked(ids, lengths)

    def padded(cells: Ranked, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and their mask, which theirs always has."""
        ids, _ = cells.padded(rows)
        mask = torch.arange(ids.shape[1]) < torch.from_numpy(cells.lengths[rows])[:, None]
        return ids.to(place), mask.long().to(place)

    def peer_embeds(cells: Ranked) -> np.ndarray:
        order = np.argsort(-cells.lengths, kind="stable")
        found = np.empty((len(order), 256), dtype=np.float32)
        for first in range(0, len(order), 100):
            rows = order[first : first + 100]
            ids, mask = padded(cells, rows)
            with torch.no_grad(), autocast(place, "bfloat16"):
                said = their_masked(ids, attention_mask=mask, output_hidden_states=True)
            states = said.hidden_states[-2].float() * mask[..., None]
            found[rows] = (states.sum(dim=1) / mask.sum(dim=1, keepdim=True)).cpu().numpy()
        return found

    def we_embed(cells: Ranked) -> np.ndarray:
        return Run(masked, ctx, "bfloat16").embedding(cells, 1, "mean")

    def truth_of(cells: Ranked) -> np.ndarray:
        return np.arange(len(cells.lengths)) % CLASSES

    def peer_learns(cells: Ranked) -> None:
        their_classed.train()
        order = np.argsort(-cells.lengths, kind="stable")
        for rows in np.array_split(order, max(1, len(order) // asked.trained)):
            ids, mask = padded(cells, rows)
            labels = torch.from_numpy(truth_of(cells)[rows]).to(place)
            with autocast(place, "bfloat16"):
                loss = their_classed(ids, attention_mask=mask, labels=labels).loss
            stepped(their_classed, [loss])

    nobody = (some_cells(np.array([2])), np.array([0]))

    def we_learn(cells: Ranked) -> None:
        plan = Plan(1, asked.trained, clip=1.0, per="step", precision="bfloat16")
        Run(classed, ctx).fine_tune((cells, truth_of(cells)), nobody, plan, lambda step: 1e-9)

    def contests(longest: int, n: int, trained: int) -> Iterator[Contest]:
        def flops(layers: int) -> Callable[[np.ndarray], float]:
            return lambda lengths: encoder_flops(lengths, 256, 512, layers)

        embed, learn = (peer_embeds, we_embed), (peer_learns, we_learn)
        yield from in_kinds("embedding", longest, n, some_cells, embed, flops(5))
        yield from in_kinds(
            "fine-tuning", longest, 2 * trained, some_cells, learn, flops(6), passes=3
        )

    warm(contests(40, 2, 1))
    yield from contests(longest, asked.cells, asked.trained)
