"""scGPT's network (Cui et al. 2024; scgpt/model/model.py of 0.2.4): genes with values to cells.

Names of parameters are the checkpoint's. Equal to the authors' network to 1e-5 in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.networks.transformer import Encoder

OUTPUTS = ("cell_emb", "cls_output", "mlm_output", "mvc_output", "dab_output")
LARGEST_VALUE = 512.0


@dataclass(frozen=True)
class Architecture:
    """All that decides the shapes; defaults are those of the human model."""

    tokens: int
    pad: int
    """The row of `<pad>` in the embedding, which is never trained."""
    width: int = 512
    heads: int = 8
    hidden: int = 512
    layers: int = 12
    dropout: float = 0.2
    classes: int = 1
    class_layers: int = 3
    mvc: bool = True
    """Whether there is a decoder that gives values back from the cell's embedding (GEPC)."""
    batches: int = 0
    """The integration variant, where above zero: batch norm of each batch's own (DSBN), batch
    labels to the decoders, explicit zeros, and a discriminator of batches (DAB)."""


class GeneEncoder(nn.Module):
    """A token's vector, normalised; the same for batch labels."""

    def __init__(self, tokens: int, width: int, pad: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width, padding_idx=pad)
        self.enc_norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """cells x tokens to cells x tokens x width."""
        return self.enc_norm(self.embedding(ids))


class ValueEncoder(nn.Module):
    """A bin's vector, from the number itself ("continuous")."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(1, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """cells x tokens to cells x tokens x width."""
        x = values.clamp(max=LARGEST_VALUE).unsqueeze(-1)
        return self.dropout(self.norm(self.linear2(F.relu(self.linear1(x)))))


def three_linear(width_in: int, width: int) -> nn.Sequential:
    """The shape of everything that decodes a token to one number."""
    return nn.Sequential(
        nn.Linear(width_in, width),
        nn.LeakyReLU(),
        nn.Linear(width, width),
        nn.LeakyReLU(),
        nn.Linear(width, 1),
    )


class ExprDecoder(nn.Module):
    """A token's value from its own output (GEP)."""

    def __init__(self, width: int, integrating: bool) -> None:
        super().__init__()
        width_in = 2 * width if integrating else width
        self.fc = three_linear(width_in, width)
        if integrating:
            self.zero_logit = three_linear(width_in, width)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """cells x tokens each: the value, and the probability of its not being zero."""
        said = {"mlm_output": self.fc(x).squeeze(-1)}
        if hasattr(self, "zero_logit"):
            said["mlm_zero_probs"] = torch.sigmoid(self.zero_logit(x).squeeze(-1))
        return said


class MVCDecoder(nn.Module):
    """A token's value from the cell's embedding and the gene's vector (GEPC), "inner product"."""

    def __init__(self, width: int, integrating: bool) -> None:
        super().__init__()
        width_in = 2 * width if integrating else width
        self.gene2query = nn.Linear(width, width)
        self.W = nn.Linear(width, width_in, bias=False)
        if integrating:
            self.W_zero_logit = nn.Linear(width, width_in)

    def forward(self, cell: Tensor, genes: Tensor) -> dict[str, Tensor]:
        """cells x tokens each, from cells x width and cells x tokens x width."""
        query, cell = torch.sigmoid(self.gene2query(genes)), cell.unsqueeze(2)
        said = {"mvc_output": torch.bmm(self.W(query), cell).squeeze(2)}
        if hasattr(self, "W_zero_logit"):
            logits = torch.bmm(self.W_zero_logit(query), cell).squeeze(2)
            said["mvc_zero_probs"] = torch.sigmoid(logits)
        return said


class ClsDecoder(nn.Module):
    """A class a cell, from its embedding; also what tells batches apart in DAB."""

    def __init__(
        self, width: int, classes: int, layers: int = 3, activation: type[nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        self._decoder = nn.ModuleList()
        for _ in range(layers - 1):
            self._decoder.extend([nn.Linear(width, width), activation(), nn.LayerNorm(width)])
        self.out_layer = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """cells x classes: logits."""
        for part in self._decoder:
            x = part(x)
        return self.out_layer(x)


class BatchNorms(nn.Module):
    """A batch norm for each batch, without scale and shift (DSBN with `affine=False`)."""

    def __init__(self, width: int, batches: int) -> None:
        super().__init__()
        norms = (nn.BatchNorm1d(width, eps=6.1e-5, affine=False) for _ in range(batches))
        self.bns = nn.ModuleList(norms)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        """cells x tokens x width, all of one batch.

        Raises ValueError for several: the authors' code takes the first cell's for all of them.
        """
        if len(torch.unique(batch)) != 1:
            raise ValueError(
                "a minibatch mixes cells of several batches, and batch norm has one for each:"
                " give minibatches of one batch"
            )
        return self.bns[int(batch[0])](x.transpose(1, 2)).transpose(1, 2)


class ScGPTNetwork(nn.Module):
    """Tokens and bins in; the embedding of `<cls>`, classes and values out."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        width, integrating = shape.width, shape.batches > 0
        self.shape = shape
        self.encoder = GeneEncoder(shape.tokens, width, shape.pad)
        nn.init.uniform_(self.encoder.embedding.weight, -0.1, 0.1)
        self.value_encoder = ValueEncoder(width, shape.dropout)
        if integrating:
            self.batch_encoder = GeneEncoder(shape.batches, width)
            self.dsbn = BatchNorms(width, shape.batches)
        self.transformer_encoder = Encoder(
            width, shape.heads, shape.hidden, shape.layers, shape.dropout
        )
        self.decoder = ExprDecoder(width, integrating)
        self.cls_decoder = ClsDecoder(width, shape.classes, shape.class_layers)
        if shape.mvc:
            self.mvc_decoder = MVCDecoder(width, integrating)
        if integrating:
            self.grad_reverse_discriminator = ClsDecoder(
                width, shape.batches, activation=nn.LeakyReLU
            )

    def forward(
        self,
        ids: Tensor,
        values: Tensor,
        padding: Tensor | None = None,
        batch: Tensor | None = None,
        want: tuple[str, ...] = ("cell_emb",),
    ) -> dict[str, Tensor]:
        """Those of OUTPUTS that are wanted; the integration variant adds `..._zero_probs`.

        `ids`, `values`: cells x tokens, `<cls>` first; `padding` is True where there is no token.
        `batch`: the batch of each cell, one and the same for all of them.
        """
        check_batch(self.shape, batch)
        genes = self.encoder(ids)
        x = genes + self.value_encoder(values)
        if batch is not None:
            x = self.dsbn(x, batch)
        # only GEP looks at the tokens' own outputs
        asking = None if "mlm_output" in want else 1
        x = self.transformer_encoder(x, padding, asking)
        cell = x[:, 0]
        label = None if batch is None else self.batch_encoder(batch)
        said = {"cell_emb": cell}
        if "mlm_output" in want:
            said |= self.decoder(beside(x, label))
        if "mvc_output" in want:
            said |= self.mvc_decoder(beside(cell, label), genes)
        if "cls_output" in want:
            said["cls_output"] = self.cls_decoder(cell)
        if "dab_output" in want:
            said["dab_output"] = self.grad_reverse_discriminator(reversed_gradient(cell))
        return said


def check_batch(shape: Architecture, batch: Tensor | None) -> None:
    """Raise ValueError when batch labels are given to a network without them, or the reverse."""
    if (shape.batches > 0) != (batch is not None):
        takes = "needs" if shape.batches else "takes no"
        raise ValueError(f"this scGPT network {takes} batch labels")


def beside(x: Tensor, label: Tensor | None) -> Tensor:
    """The last dimension with the batch's vector behind it."""
    if label is None:
        return x
    return torch.cat([x, label.view(len(x), *[1] * (x.dim() - 2), -1).expand_as(x)], dim=-1)


def reversed_gradient(x: Tensor) -> Tensor:
    """The same values; gradients change their sign on the way back (DAB)."""
    return (2 * x).detach() - x


def masked_mse(said: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The mean squared difference where `mask` is True."""
    return ((said - truth) ** 2 * mask).sum() / mask.sum()


def elastic_similarity(cell: Tensor, threshold: float = 0.3) -> Tensor:
    """ECS: cells of a minibatch are drawn to similarities of 0 or well above the threshold."""
    unit = F.normalize(cell, dim=1)
    similar = (unit @ unit.T).fill_diagonal_(0).relu()
    return (1 - (similar - threshold) ** 2).mean()


def contrast(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """CCE: each cell's second embedding told from the other cells'."""
    similar = F.cosine_similarity(first.unsqueeze(1), second.unsqueeze(0), dim=-1) / temperature
    return F.cross_entropy(similar, torch.arange(len(first), device=first.device))
