"""Geneformer's networks: BERT of `transformers`, and official checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from trainables.genes import dictionaries
from trainables.genes.dictionaries import Dictionaries
from trainables.networks import weights
from trainables.networks.attention import dropped_attention
from trainables.networks.generators import seeded

FILES = ("model.safetensors", "pytorch_model.bin")
HEAD = "cls.predictions.decoder.*"
POSITIONS = "*position_ids"


# ---- attention --------------------------------------------------------------------------------


def attention(
    module: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, **how: Any
) -> tuple[Tensor, None]:
    """For `transformers`: torch's own, save where its weights are dropped on CPU; see
    `networks.attention`. `mask`: cells x 1 x tokens x tokens, whether it may be looked at."""
    if not how.get("dropout") or q.device.type != "cpu":
        return sdpa_attention_forward(module, q, k, v, mask, **how)
    n = q.shape[2]
    lengths = [n] * len(q) if mask is None else mask[:, 0, 0].sum(dim=-1).tolist()
    return dropped_attention(q, k, v, lengths, how["dropout"]).transpose(1, 2), None


ATTENTION = "gauntlet"
AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


# ---- checkpoints ------------------------------------------------------------------------------


def config(folder: Path) -> BertConfig:
    """The `config.json` of a folder. Raises ValueError where it is missing or no BERT's."""
    try:
        held = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} has no readable config.json ({error})") from None
    if not isinstance(held, dict) or held.get("model_type", "bert") != "bert":
        raise ValueError(f"{folder / 'config.json'} describes no BERT, which Geneformer is")
    return BertConfig(**held)


def fits(folder: Path, shape: BertConfig, known: Dictionaries) -> None:
    """Raise ValueError where the dictionaries name tokens that the network has not."""
    if known.size > shape.vocab_size:
        raise ValueError(
            f"{folder}: its token dictionary goes up to {known.size - 1:,} and the network has"
            f" {shape.vocab_size:,} tokens; get the dictionary that belongs to the weights"
        )


def built(shape: BertConfig, seed: int, classes: int = 0) -> Any:
    """A fresh network: with a head for masked tokens, or for that many classes."""
    shape.num_labels = classes or 2
    shape._attn_implementation = ATTENTION
    with seeded(seed, "init"):
        return BertForSequenceClassification(shape) if classes else BertForMaskedLM(shape)


def load(network: nn.Module, folder: Path) -> weights.Loaded:
    """A folder's weights into a network, every key accounted for.

    For classes, the head for masked tokens is left out, and what the file lacks starts anew: the
    pooler and the classifier. Raises ValueError as `weights.load` does.
    """
    path = next((p for name in FILES if (p := folder / name).is_file()), None)
    if path is None:
        raise ValueError(f"{folder} has neither {FILES[0]} nor {FILES[1]}; download one of them")
    masked = isinstance(network, BertForMaskedLM)
    found = weights.load(
        network,
        weights.read(path),
        source=str(path),
        # the decoder is tied to the embedding of tokens, so newer files leave it out
        may_miss=(HEAD, POSITIONS) if masked else ("bert.pooler.*", "classifier.*", POSITIONS),
        may_ignore=(POSITIONS, "bert.pooler.*", "cls.seq_relationship.*")
        if masked
        else (POSITIONS, "cls.*"),
    )
    if isinstance(network, BertForMaskedLM):
        network.tie_weights()
    return found


def save(network: Any, known: Dictionaries, folder: Path) -> Path:
    """`config.json`, `model.safetensors` and the dictionaries, such that the authors' code reads
    them."""
    network.save_pretrained(folder)
    known.save(folder)
    return folder


def fates(folder: Path) -> list[dict[str, str]]:
    """What becomes of each key of a folder's weights; ValueError where one fits nowhere."""
    shape = config(folder)
    fits(folder, shape, dictionaries.read(folder))
    found = load(built(shape, 0), folder)
    path = next(folder / name for name in FILES if (folder / name).is_file())
    told = [
        {
            "key": key,
            "shape": str(tuple(value.shape)),
            "fate": "not used" if key in found.ignored else "loaded",
        }
        for key, value in weights.read(path).items()
    ]
    tied = [key for key in found.missing if key != "cls.predictions.decoder.bias"]
    return told + [{"key": key, "shape": "", "fate": "tied to another"} for key in tied]


def freeze(network: Any, layers: int) -> None:
    """Keep the first blocks from being trained, as the authors' `freeze_layers` does."""
    for block in network.bert.encoder.layer[:layers]:
        block.requires_grad_(False)
