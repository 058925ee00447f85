"""Geneformer's networks: BERT of `transformers`, and official checkpoints."""

from __future__ import annotations

import fnmatch
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

FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
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
    """Raise ValueError unless the dictionary has exactly the network's tokens.

    With another dictionary, V1's for V2 or a smaller one, genes would get other genes' vectors.
    """
    if known.size != shape.vocab_size:
        raise ValueError(
            f"{folder}: its token dictionary has {known.size:,} tokens and the network"
            f" {shape.vocab_size:,}; get the dictionary that belongs to the weights"
        )


def built(shape: BertConfig, seed: int, classes: int = 0) -> Any:
    """A fresh network: with a head for masked tokens, or for that many classes."""
    shape.num_labels = classes or 2
    shape._attn_implementation = ATTENTION
    with seeded(seed, "init"):
        return BertForSequenceClassification(shape) if classes else BertForMaskedLM(shape)


def weights_file(folder: Path) -> Path:
    """The file of a folder's weights. Raises ValueError where there is none."""
    path = next((p for name in FILES if (p := folder / name).is_file()), None)
    if path is None:
        raise ValueError(f"{folder} has neither {FILES[0]} nor {FILES[-1]}; download one of them")
    return path


def load(network: nn.Module, folder: Path, *, masked: bool = True) -> weights.Loaded:
    """A folder's weights into a network, every key accounted for.

    A network of classes gets a new head, whatever the file's classes are. The head for masked
    tokens may be missing unless `masked`: a fine-tuned classifier has none, and embeds without it
    (as EmbExtractor does for a CellClassifier). A bare BertModel's keys lack "bert.". Raises
    ValueError as `weights.load` does.
    """
    path = weights_file(folder)
    state = weights.read(path)
    bare = "embeddings.word_embeddings.weight" in state
    classes = not isinstance(network, BertForMaskedLM)
    if classes and any(key.startswith("classifier.") for key in state):
        print(f"{path} has a head for cell types; a new one is trained in its place")
    # the decoder is tied to the embedding of tokens, so newer files leave it out
    missing = ("bert.pooler.*", "classifier.*") if classes else (HEAD,) if masked else ("cls.*",)
    found = weights.load(
        network,
        state,
        source=str(path),
        rename=lambda key: renamed(key, bare),
        may_miss=(*missing, POSITIONS),
        may_ignore=(POSITIONS, "bert.pooler.*", "cls.*" if classes else "cls.seq_relationship.*"),
    )
    if isinstance(network, BertForMaskedLM):
        network.tie_weights()
    return found


def renamed(key: str, bare: bool) -> str | None:
    """A file's key as our networks have it; None for the head of somebody's cell types."""
    if key.startswith("classifier."):
        return None
    return f"bert.{key}" if bare else key


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
    found = load(built(shape, 0), folder, masked=False)
    rows = [
        {
            "key": key,
            "shape": str(tuple(value.shape)),
            "fate": "not used here" if key in found.ignored else "loaded",
        }
        for key, value in weights.read(weights_file(folder)).items()
    ]
    for key in found.missing:
        tied = fnmatch.fnmatchcase(key, HEAD)
        if key != "cls.predictions.decoder.bias":
            fate = "tied to another" if tied else "absent: this model cannot reconstruct"
            rows.append({"key": key, "shape": "", "fate": fate})
    return rows


def freeze(network: Any, layers: int) -> None:
    """Keep the first blocks from being trained, as the authors' `freeze_layers` does."""
    for block in network.bert.encoder.layer[:layers]:
        block.requires_grad_(False)
