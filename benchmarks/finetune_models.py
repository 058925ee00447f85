"""The contests of `finetune.py`: each model's own code against its authors' classes and loops."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import nn

from trainables.genes.tokens import Tokens
from trainables.networks.inference import asked as asked_of
from trainables.networks.precision import autocast
from trainables.networks.training import Plan
from trainables.protocols import Context

CLASSES = 10


@dataclass(frozen=True)
class Arm:
    """A way to do it."""

    name: str
    run: Callable[[], Any]
    flops: float
    """Of all cells."""


@dataclass(frozen=True)
class Contest:
    """The same cells by several arms, the authors' first."""

    what: str
    cells: int
    arms: Sequence[Arm]


def encoder_flops(lengths: np.ndarray, width: int, hidden: int, layers: int) -> float:
    """Of a transformer's forward pass: four maps, two of them wider, and attention."""
    linear = 2 * lengths * (4 * width**2 + 2 * width * hidden)
    return float(layers * (linear + 4 * lengths**2 * width).sum())


def stepped(network: Any, losses: Iterable[torch.Tensor]) -> None:
    """Back, clipped, and a step of AdamW, which hardly moves; a loss may come in terms."""
    if not hasattr(network, "benchmark_adam"):
        moving = [p for p in network.parameters() if p.requires_grad]
        network.benchmark_adam = torch.optim.AdamW(moving, lr=1e-9, weight_decay=1e-3)
    for loss in losses:
        loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    network.benchmark_adam.step()
    network.benchmark_adam.zero_grad(set_to_none=True)


def kinds(longest: int, n: int) -> Iterator[tuple[str, np.ndarray]]:
    """Lengths of full cells and of mixed ones, these in no order."""
    yield "full", np.full(n, longest)
    mixed = np.linspace(longest // 4, longest, n).astype(int)
    yield "mixed", np.random.default_rng(0).permutation(mixed)


def in_kinds(
    what: str,
    longest: int,
    n: int,
    some_cells: Callable[[np.ndarray], Any],
    arms: Sequence[Callable[[Any], Any]],
    flops: Callable[[np.ndarray], float],
    passes: int = 1,
) -> Iterator[Contest]:
    """A contest over full cells and one over mixed ones; `flops` are those of one forward pass."""
    for kind, lengths in kinds(longest, n):
        cells, work = some_cells(lengths), passes * flops(lengths)
        both = [Arm("", lambda arm=arm, cells=cells: arm(cells), work) for arm in arms]
        yield Contest(f"{what}, {kind}", n, both)


def warm(contests: Iterable[Contest]) -> None:
    """Run every arm once, so that all is compiled and warm."""
    for contest in contests:
        for arm in contest.arms:
            arm.run()


# ---- scBERT -----------------------------------------------------------------------------------


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

    for contest in contests(50, 1, 1):
        for arm in contest.arms:
            arm.run()  # compiled and warm
    for genes in asked.genes:
        yield from contests(genes, asked.cells, asked.trained)


def performer_features(network: Any) -> int:
    """Random features of a head."""
    return network.layers[0][0].fn.fast_attention.nb_features


# ---- scGPT ------------------------------------------------------------------------------------


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


# ---- Geneformer -------------------------------------------------------------------------------


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


MODELS = {"scbert": scbert, "scgpt": scgpt, "geneformer": geneformer}
