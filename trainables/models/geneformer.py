"""Geneformer: BERT over genes ranked by expression, embedded with, fine-tuned, or made anew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from trainables.cells import fit_rows, words
from trainables.choices import check_choices
from trainables.external import External, absolute, present
from trainables.genes import dictionaries
from trainables.genes.dictionaries import HUB_FILES, OPTIONAL, Dictionaries
from trainables.genes.expressed import expressed_in
from trainables.genes.overlap import BY_ID, LEAST, Overlap, check_share
from trainables.genes.ranks import places, to_rank
from trainables.identity import LATER, NOT_IN_ID
from trainables.networks import MADE_BY
from trainables.official_files import GENEFORMER_REVISION as REVISION
from trainables.protocols import (
    Card,
    Cells,
    Context,
    Matrix,
    NotInstalled,
    Predictions,
    Pretrained,
    Reconstruction,
)
from trainables.store import Store

if TYPE_CHECKING:
    from trainables.networks.geneformer_runs import Run
    from trainables.networks.geneformer_tokens import Ranked
    from trainables.networks.precision import Precision
    from trainables.networks.rates import Rate
    from trainables.networks.training import Plan

CHOICES = {
    "values": ("counts", "X"),
    "version": ("v1", "v2"),
    "layer": ("second_to_last", "last"),
    "pooling": ("", "mean", "cls"),
    "precision": ("float32", "bfloat16", "float16"),
}
LONGEST = {"v1": 2048, "v2": 4096}
HUB = "ctheodoris/Geneformer"


@dataclass(frozen=True)
class Geneformer:
    """Theodoris et al. 2023, zero-shot as Kedzierska et al. ran it (PROTOCOLS 4.2, K8), fine-tuned
    and pretrained as the authors' examples do.

    A cell is its genes by falling count / median, the first 2,048 (V1), or 4,096 with `<cls>` and
    `<eos>` (V2); which of the two, the dictionaries say. Nothing else of the counts is read.
    """

    weights: str = "v1-10m"
    """"v1-10m" (the papers'), "v2-104m", "v2-316m" (gauntlet models fetch geneformer), a folder,
    "trial:<id>", or "none": a fresh network."""
    dictionaries: str = ""
    """A fresh network's: a folder with the authors' files. Without, the cells' own genes and their
    medians, taken over the cells that may be fitted on."""
    values: str = "counts"
    """What is ranked. Logged cells without counts are un-logged: that gives the ranks of counts.
    "X" ranks the logged values themselves, as Kedzierska et al. did by mistake (PROTOCOLS 4.2)."""
    version: str = "v1"
    """A fresh network's; and the next four its shape: weights bring their own."""
    layers: int = 6
    width: int = 256
    heads: int = 4
    hidden: int = 512
    max_length: int = 0
    """The most tokens of a cell; 0 is all that the network has places for."""
    min_cells: int = field(default=0, metadata=LATER)
    """Zero-shot: genes of fewer cells are no tokens; the paper's 10."""

    layer: str = "second_to_last"
    """Whose output embeds a cell: `hidden_states[-2]`, the authors' emb_layer=-1, as in the paper;
    or the "last"."""
    pooling: str = ""
    """"mean" over a cell's genes, V1's and the paper's; "cls", V2's; "" takes what is usual."""

    epochs: int = 0
    """0 is the authors' 10 in fine-tuning and 3 in pretraining; likewise the next two."""
    lr: float = 0.0
    """The peak: 5e-5 in fine-tuning and 1e-3 in pretraining."""
    warmup: int = -1
    """Steps up to the peak: 500 in fine-tuning and 10,000 in pretraining. What follows is a line
    down to nothing; runs that are shorter than that never reach the peak."""
    batch: int = 12
    dropout: float = 0.02
    """A fresh network's."""
    freeze_layers: int = 0
    """Fine-tuning: how many of the first blocks stay as they are."""
    precision: Precision = "float32"
    """Of mixed precision where the device is a GPU; the paper's zero-shot is float32."""
    least_overlap: float = field(default=LEAST, metadata=NOT_IN_ID)
    """Least share of the cells' genes that the model must know; see `genes.overlap.LEAST`."""

    published: ClassVar[dict[str, str]] = dict.fromkeys(
        ("v1-10m", "v2-104m", "v2-316m"), f"https://huggingface.co/{HUB}/tree/{REVISION}"
    )
    hub: ClassVar[str] = HUB
    revisions: ClassVar[dict[str, str]] = dict.fromkeys(published, REVISION)
    files: ClassVar[dict[str, dict[str, str]]] = HUB_FILES
    optional: ClassVar[tuple[str, ...]] = OPTIONAL
    attention: ClassVar[str] = "sdpa"
    card: ClassVar = Card(
        summary="BERT over genes ranked by expression, pretrained on 30 million human cells",
        species="human",
        version=3,
        cpus=2,
        gpus=1.0,
        memory_gb=8.0,
        parts=True,
        processes=True,
        extra="geneformer",
        citation="Theodoris et al. 2023, doi:10.1038/s41586-023-06139-9",
        licence="Apache-2.0",
    )

    def __post_init__(self) -> None:
        check_choices("geneformer", self, CHOICES)
        check_share("geneformer", self.least_overlap)
        if self.weights == "none" and self.width % self.heads:
            raise ValueError(
                f"geneformer's width {self.width} cannot be shared by {self.heads} heads"
            )

    @staticmethod
    def examine(folder: Path) -> list[dict[str, str]]:
        """What becomes of each key of a folder of weights; ValueError where one fits nowhere."""
        installed()
        from trainables.networks.geneformer import fates

        return fates(folder)

    def check(self, cells: Cells) -> None:
        """Raise, in one sentence, when weights or the package are missing, before anything runs."""
        from trainables.networks import weights

        installed()
        if self.weights != "none":
            weights.check(self.weights, "geneformer")
        if not self.weights.startswith(MADE_BY):
            overlap = Overlap.of(cells, self.gene_columns(cells, Store(Path())))
            overlap.refuse("geneformer", self.least_overlap, BY_ID)

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells that have a token; all where a fresh network takes these genes.

        Raises ValueError where none has one.
        """
        from trainables.networks import weights

        if self.weights == "none" and not self.dictionaries:
            return np.arange(cells.n_vars)
        if self.weights == "none":
            folder, source = absolute(self.dictionaries), f"dictionaries={self.dictionaries}"
        else:
            folder = weights.folder(self.weights, store, "geneformer")
            source = f"the weights {self.weights!r}"
        return dictionaries.read(folder).found(cells.var, source=source).covered

    def identity(self) -> dict[str, Any]:
        """What stands for weights and dictionaries in a trial's id: their content."""
        from trainables.networks import weights

        known = {"weights": weights.identity(self.weights, "geneformer")}
        if self.dictionaries:
            known["dictionaries"] = weights.identity(self.own_dictionaries, "geneformer")
        return known

    def external(self) -> dict[str, External]:
        """The files of the weights, and of a fresh network's dictionaries."""
        from trainables.networks import weights

        folder = self.own_dictionaries if self.dictionaries else "none"
        return present(
            weights=weights.external(self.weights, "geneformer"),
            dictionaries=weights.external(folder, "geneformer"),
        )

    @property
    def frozen(self) -> bool:
        """Whether a cell's embedding is its own; a fresh network's depends on seed and medians."""
        return self.weights != "none" and not self.min_cells

    # ---- capabilities -------------------------------------------------------------------------

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x width (geneformer_forward.py:39-51). No mean counts padding, `<cls>` or `<eos>`.

        A cell without a known gene is one padding token (V1) or `<cls>` and `<eos>` (V2); the
        authors' tokenizer leaves such cells out, and here each cell needs an answer.
        """
        run, known = self.run(cells, ctx)
        ranked = self.ranked(cells, known, run, self.expressed(cells, ctx))
        pooling = self.pooling or {"v1": "mean", "v2": "cls"}[known.version]
        if pooling == "cls" and known.version == "v1":
            raise ValueError("geneformer V1 has no <cls> to embed with; take pooling='mean'")
        return run.embedding(ranked, 1 if self.layer == "second_to_last" else 0, pooling)

    def reconstruct(self, cells: Cells, ctx: Context) -> Reconstruction:
        """Ranks: the likeliest token of every place, nothing hidden (model_output.py:145-275, K8).

        A special token that the network names counts as a gene that was not asked, as there.
        """
        run, known = self.run(cells, ctx, masked=True)
        ranked = self.ranked(cells, known, run, self.expressed(cells, ctx))
        asked, given, lengths = run.retold(ranked)
        size = run.network.config.vocab_size
        told = places(asked, lengths, size), places(given, lengths, size)
        return Reconstruction("ranks", *told, known.names(size))

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Fine-tune on `train`, keep the epoch of the lowest loss on `valid`, name the others.

        Notes: the epoch that was kept, and how many columns have a token. Epochs go to
        `ctx.report`.
        """
        from trainables.networks.geneformer import freeze

        labels = [words(part, "cell_type") for part in (train, valid)]
        classes, codes = np.unique(np.concatenate(labels), return_inverse=True)
        ctx.saw("geneformer fine-tuning", train.obs_names)
        ctx.saw("geneformer choice of epoch", valid.obs_names)
        run, known = self.run(train, ctx, classes=len(classes))
        freeze(run.network, self.freeze_layers)
        parts = [self.ranked(part, known, run) for part in (train, valid, test)]
        taught, chosen = np.split(codes, [train.n_obs])
        plan, rate = self.schedule(train.n_obs, epochs=10, lr=5e-5, warmup=500, best="-valid/loss")
        done = run.fine_tune((parts[0], taught), (parts[1], chosen), plan, rate)
        said = [classes[run.class_scores(part).argmax(axis=1)] for part in parts[1:]]
        genes = (known.found(train.var, source="").tokens >= 0).sum()
        notes = {"epoch": float(done.best_epoch), "genes": float(genes)}
        return Predictions(valid=said[0], test=said[1], notes=notes)

    def pretrain(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Pretrained:
        """Guess 15 % of each cell's tokens, BERT's way, as pretrain_geneformer_w_deepspeed.py does.

        Keeps the last epoch, as there. `asked` and `given` are tokens, so that their accuracy
        means something and their squared difference does not.
        """
        ctx.saw("geneformer pretraining", train.obs_names)
        run, known = self.run(train, ctx, masked=True)
        parts = [self.ranked(part, known, run) for part in (train, valid, test)]
        plan, rate = self.schedule(train.n_obs, epochs=3, lr=1e-3, warmup=10_000, best="")
        run.pretrain(parts[0], (parts[1], valid.obs_names), plan, rate)
        asked, given = run.guessed(parts[2], test.obs_names, "test")
        from trainables.networks.geneformer import save

        return Pretrained(save(run.network, known, ctx.scratch / "weights"), asked, given)

    # ---- what they share ----------------------------------------------------------------------

    def run(
        self, cells: Cells, ctx: Context, *, classes: int = 0, masked: bool = False
    ) -> tuple[Run, Dictionaries]:
        """A network with its dictionaries, from a folder or fresh.

        `masked`: whether its head for masked tokens is asked, so that weights must have one.
        """
        installed()
        from trainables.networks import geneformer, weights
        from trainables.networks.geneformer_runs import Run

        if self.weights == "none":
            known = self.fresh_dictionaries(cells, ctx)
            network = geneformer.built(self.shape(known), ctx.seed, classes)
        else:
            folder = weights.folder(self.weights, ctx.store, "geneformer")
            known, shape = dictionaries.read(folder), geneformer.config(folder)
            geneformer.fits(folder, shape, known)
            network = geneformer.built(shape, ctx.seed, classes)
            geneformer.load(network, folder, masked=masked)
        return Run(network.to(ctx.device), ctx, self.precision), known

    def fresh_dictionaries(self, cells: Cells, ctx: Context) -> Dictionaries:
        """The authors', or the cells' own."""
        if self.dictionaries:
            return dictionaries.read(absolute(self.dictionaries))
        rows = fit_rows(cells)
        ctx.saw("geneformer medians", cells.obs_names[rows])
        values, n_counts = to_rank(cells, self.values)
        some = dictionaries.scaled(csr_matrix(values[rows]), n_counts[rows])
        return dictionaries.made_of(np.asarray(cells.var_names, dtype=str), some, self.version)

    def shape(self, known: Dictionaries) -> Any:
        """A fresh network's configuration, the rest as in the authors' config.json."""
        from transformers import BertConfig

        return BertConfig(
            vocab_size=known.size,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.hidden,
            max_position_embeddings=self.max_length or LONGEST[known.version],
            hidden_act="relu",
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            pad_token_id=0,
        )

    def expressed(self, cells: Cells, ctx: Context) -> np.ndarray | None:
        """Columns that `min_cells` leaves; None where it leaves all."""
        if not self.min_cells:
            return None
        ctx.saw("geneformer filter of genes", cells.obs_names[fit_rows(cells)])
        return expressed_in(cells, self.min_cells)

    def ranked(
        self, cells: Cells, known: Dictionaries, run: Run, columns: np.ndarray | None = None
    ) -> Ranked:
        """Cells as the network reads them. Raises ValueError where no gene has a token."""
        from trainables.networks.geneformer_tokens import tokens

        most, threads = run.network.config.max_position_embeddings, run.ctx.cpus
        how = known, self.values, min(self.max_length or most, most)
        source = f"geneformer's weights {self.weights!r}"
        return tokens(cells, *how, source=source, threads=threads, columns=columns)

    def schedule(
        self, rows: int, *, epochs: int, lr: float, warmup: int, best: str
    ) -> tuple[Plan, Rate]:
        """How the common loop goes on: gradients clipped at 1, as transformers' Trainer does."""
        from trainables.networks.rates import linear
        from trainables.networks.training import Plan

        epochs = self.epochs or epochs
        steps = epochs * math.ceil(rows / self.batch)
        warmup = warmup if self.warmup < 0 else self.warmup
        plan = Plan(epochs, self.batch, clip=1.0, per="step", precision=self.precision, best=best)
        return plan, linear(self.lr or lr, warmup, steps)

    @property
    def own_dictionaries(self) -> str:
        """Absolute path of the folder, whatever it is called."""
        return str(absolute(self.dictionaries))


def installed() -> None:
    """Raise NotInstalled, with what to do, where `transformers` is not: other models can run."""
    if find_spec("transformers") is None:
        raise NotInstalled(
            "model 'geneformer' is not installed: uv sync --extra geneformer, or pip install"
            " 'sc-gauntlet[geneformer]'",
            "transformers",
        )


MODEL = Geneformer
