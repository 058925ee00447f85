"""SCimilarity's encoder and its official layout, `encoder.ckpt` and `gene_order.tsv`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.networks import weights

FILES = ("encoder.ckpt", "gene_order.tsv")


class Encoder(nn.Module):
    """Linear, batch norm, PReLU, once a hidden layer; a last linear layer; a row of length one.

    Its keys are those of the checkpoint. Their dropout is left out: it has none, and we embed only.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        hidden = [
            nn.Sequential(nn.Identity(), nn.Linear(n, m), nn.BatchNorm1d(m), nn.PReLU())
            for n, m in pairwise(widths[:-1])
        ]
        self.network = nn.ModuleList([*hidden, nn.Linear(widths[-2], widths[-1])])
        self.genes = widths[0]

    def forward(self, expression: Tensor) -> Tensor:
        """cells x genes -> cells x latent, of Euclidean length one."""
        for layer in self.network:
            expression = layer(expression)
        return F.normalize(expression, dim=1)


def widths(state: Mapping[str, Tensor], source: str) -> list[int]:
    """Genes, the hidden layers, and the embedding, as the weights' shapes have them.

    Raises ValueError where the keys are not those of such an encoder.
    """
    hidden = [k for k in state if re.fullmatch(r"network\.\d+\.1\.weight", k)]
    keys = [f"network.{i}.1.weight" for i in range(len(hidden))] + [f"network.{len(hidden)}.weight"]
    if not hidden or not all(key in state for key in keys):
        raise ValueError(
            f"{source} holds no encoder of SCimilarity (network.0.1.weight, ...,"
            " network.3.weight); give the folder with the authors' encoder.ckpt"
        )
    return [state[keys[0]].shape[1], *(state[key].shape[0] for key in keys)]


def gene_order(folder: Path) -> list[str]:
    """The symbols of the encoder's inputs; ValueError where the file is not there or holds none."""
    path = folder / "gene_order.tsv"
    genes = path.read_text(encoding="utf-8").split() if path.is_file() else []
    if not genes:
        raise ValueError(f"{path} names no genes; put the authors' file there, a symbol a line")
    return genes


def read(folder: Path) -> tuple[Encoder, weights.Loaded, dict[str, Tensor]]:
    """The encoder of a folder, ready to embed, what became of each key, and the keys.

    Raises ValueError, in one sentence, for a file that is missing or fits no encoder.
    """
    path, genes = folder / "encoder.ckpt", gene_order(folder)
    state = weights.read(path)
    sizes = widths(state, str(path))
    if sizes[0] != len(genes):
        raise ValueError(
            f"{path} takes {sizes[0]:,} genes, and gene_order.tsv beside it names {len(genes):,};"
            " both must be of the same version"
        )
    with torch.device("meta"):
        empty = Encoder(sizes)
    encoder = empty.to_empty(device="cpu")
    loaded = weights.load(encoder, state, source=str(path))
    return encoder.eval(), loaded, state


def fates(folder: Path) -> list[dict[str, str]]:
    """What becomes of each key of a folder's file."""
    _, loaded, state = read(folder)
    return [
        {"key": k, "shape": str(tuple(state[k].shape)), "fate": "loaded"} for k in loaded.loaded
    ]
