"""scGPT's official layout: `best_model.pt`, `args.json`, `vocab.json`, in any of its dialects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainables.genes.tokens import MASK_VALUE, PAD_VALUE
from trainables.genes.vocabulary import read_vocabulary
from trainables.networks import weights
from trainables.networks.scgpt import Architecture, ScGPTNetwork
from trainables.networks.scgpt_authors import authors_network

if TYPE_CHECKING:
    from torch import nn

FILES = ("best_model.pt", "args.json", "vocab.json")
BACKENDS = ("fast", "authors")
NOT_USED_HERE = (
    "flag_encoder.*",  # in the human model's file, and in no released code
    "grad_reverse_discriminator.*",  # DAB: tells batches apart, in training alone
    *("batch_encoder.*", "dsbn.*", "bn.*"),  # batch labels and DSBN, of integration fine-tuning
    "pert_encoder.*",  # perturbation prediction
    "mvc_decoder.*",  # GEPC, where nobody asks for it
)
"""Keys of a file that a network without such parts leaves out; `fates` lists them."""
AS_FUSED = {"Wqkv.weight": "in_proj_weight", "Wqkv.bias": "in_proj_bias"}


def plain(key: str) -> str:
    """A key of any dialect as torch's own encoder has it.

    flash-attn 1 saves "Wqkv", the package's 0.2.5 with flash-attn 2 "_impl.Wqkv". The authors'
    scripts compare names only, and so leave attention random where the dialects differ.

    >>> plain("transformer_encoder.layers.0.self_attn._impl.Wqkv.weight")
    'transformer_encoder.layers.0.self_attn.in_proj_weight'
    """
    key = key.replace(".self_attn._impl.", ".self_attn.")
    for fused, ours in AS_FUSED.items():
        key = key.replace(f".self_attn.{fused}", f".self_attn.{ours}")
    return key


def official(key: str) -> str:
    """The reverse: as the authors' published files have it."""
    for fused, ours in AS_FUSED.items():
        key = key.replace(f".self_attn.{ours}", f".self_attn.{fused}")
    return key


@dataclass(frozen=True)
class Checkpoint:
    """A folder of weights."""

    folder: Path

    def __post_init__(self) -> None:
        missing = [name for name in FILES if not (self.folder / name).is_file()]
        if missing:
            raise ValueError(
                f"{self.folder} lacks {', '.join(missing)}; a scGPT checkpoint is a folder with"
                f" {', '.join(FILES)}"
            )

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Token to row."""
        return read_vocabulary(self.folder / "vocab.json")

    @cached_property
    def args(self) -> dict[str, Any]:
        """What `args.json` says. Raises ValueError for what is no such file."""
        path = self.folder / "args.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        needed = ("embsize", "nheads", "d_hid", "nlayers")
        lacking = [key for key in needed if not isinstance(found.get(key), int)]
        if lacking:
            raise ValueError(f"{path} lacks {', '.join(lacking)}; get it with the weights")
        if found.get("input_emb_style", "continuous") != "continuous":
            raise ValueError(
                f"{path} has input_emb_style {found['input_emb_style']!r}; only weights with"
                " 'continuous' values, as all published ones, can be used"
            )
        return found

    @property
    def n_bins(self) -> int:
        """How many bins values are parted into, zero's own among them."""
        return int(self.args.get("n_bins") or 51)

    def architecture(self, *, classes: int = 1, mvc: bool, dropout: float = 0.2) -> Architecture:
        """The shape of `args.json`, for so many classes, with or without the decoder of GEPC."""
        return Architecture(
            tokens=len(self.vocabulary),
            pad=self.vocabulary["<pad>"],
            width=self.args["embsize"],
            heads=self.args["nheads"],
            hidden=self.args["d_hid"],
            layers=self.args["nlayers"],
            dropout=dropout,
            classes=classes,
            class_layers=int(self.args.get("n_layers_cls") or 3),
            mvc=mvc,
        )

    def load_into(self, network: nn.Module, *, head: bool = False) -> weights.Loaded:
        """Put `best_model.pt` into a network, every key accounted for.

        The head that names classes starts anew unless `head`: a file's is for other classes.
        Raises ValueError for a vocabulary that is not the weights' own and, as `weights.load`, for
        keys that do not fit.
        """
        path = self.folder / "best_model.pt"
        state = weights.read(path)
        rows = len(state.get("encoder.embedding.weight", ()))
        if rows and rows != len(self.vocabulary):
            raise ValueError(
                f"{self.folder / 'vocab.json'} has {len(self.vocabulary):,} tokens and the weights"
                f" {rows:,}: one does not belong to the other, and every gene after the first"
                " difference would be another's; get both from the same place"
            )

        def rename(key: str) -> str | None:
            return None if key.startswith("cls_decoder.") and not head else plain(key)

        loaded = weights.load(
            network,
            state,
            source=str(path),
            rename=rename,
            may_miss=() if head else ("cls_decoder.*",),
            may_ignore=NOT_USED_HERE,
        )
        if parts := sorted({key.split(".")[0] for key in loaded.ignored}):
            print(f"not used here of {path}: {', '.join(parts)}")
        return loaded


def fates(folder: Path) -> list[dict[str, str]]:
    """What becomes of each key of a folder's file, and of the network's keys that it lacks.

    Raises ValueError as `Checkpoint.load_into` does.
    """
    known = Checkpoint(folder)
    state = weights.read(folder / "best_model.pt")
    mvc = any(key.startswith("mvc_decoder.") for key in state)
    found = known.load_into(build(known.architecture(mvc=mvc)))
    told = [
        {"key": key, "shape": str(tuple(value.shape)), "fate": fate(key, found)}
        for key, value in state.items()
    ]
    return told + [{"key": key, "shape": "", "fate": "starts anew"} for key in found.missing]


def fate(key: str, found: weights.Loaded) -> str:
    """In words."""
    if key in found.ignored or plain(key) in found.ignored:
        return "not used here"
    renamed = found.renamed.get(key)
    return f"loaded as {renamed}" if renamed else "loaded"


def build(shape: Architecture, backend: str = "fast") -> nn.Module:
    """An untrained network: ours ("fast") or that of the authors' package ("authors")."""
    return ScGPTNetwork(shape) if backend == "fast" else authors_network(shape)


def save(
    network: nn.Module, vocabulary: Mapping[str, int], n_bins: int, max_length: int, folder: Path
) -> None:
    """Write the official layout, without the head, such that the authors' code opens it too."""
    shape: Any = network.shape
    state = network.state_dict()
    kept = {official(k): v.cpu() for k, v in state.items() if not k.startswith("cls_decoder.")}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(kept, folder / "best_model.pt")
    args = {
        "embsize": shape.width,
        "nheads": shape.heads,
        "d_hid": shape.hidden,
        "nlayers": shape.layers,
        "n_layers_cls": shape.class_layers,
        "dropout": shape.dropout,
        "input_style": "binned",
        "input_emb_style": "continuous",
        "n_bins": n_bins,
        "max_seq_len": max_length,
        "pad_token": "<pad>",
        "pad_value": int(PAD_VALUE),
        "mask_value": int(MASK_VALUE),
        "MVC": shape.mvc,
    }
    (folder / "args.json").write_text(json.dumps(args, indent=2))
    (folder / "vocab.json").write_text(json.dumps(dict(vocabulary)))
