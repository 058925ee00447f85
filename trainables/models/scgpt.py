"""scGPT: a transformer of genes and binned expression, fine-tuned, embedded with, or made anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from trainables.cells import fit_rows, words
from trainables.choices import check_choices
from trainables.external import External, present
from trainables.genes.names import ids_beside
from trainables.genes.overlap import BY_SYMBOL, LEAST, Overlap, check_share
from trainables.genes.summed import summed
from trainables.genes.tokens import Tokens, like, tokenized
from trainables.genes.variable import FLAVORS, expressed, most_variable
from trainables.genes.vocabulary import Aligned, align, new_vocabulary, read_vocabulary
from trainables.identity import LATER, NOT_IN_ID
from trainables.networks import MADE_BY
from trainables.protocols import (
    Card,
    Cells,
    Context,
    Matrix,
    Predictions,
    Pretrained,
    Reconstruction,
)
from trainables.scgpt_files import (
    FILES,
    PUBLISHED,
    URLS,
    VOCABULARY,
    vocabulary,
    vocabulary_external,
    vocabulary_identity,
    vocabulary_row,
)
from trainables.store import Store

if TYPE_CHECKING:
    from trainables.networks.precision import Precision
    from trainables.networks.rates import Rate
    from trainables.networks.scgpt import Architecture
    from trainables.networks.scgpt_checkpoint import Checkpoint
    from trainables.networks.scgpt_runs import Run
    from trainables.networks.training import Plan

CHOICES = {
    "backend": ("fast", "authors"),
    "cls_value": ("zero", "pad"),
    "ties": ("random", "highest"),
    "hvg_flavor": FLAVORS,
    "decoder": ("gep", "gepc"),
    "freeze": ("none", "embeddings", "all_but_decoder"),
    "precision": ("float32", "bfloat16", "float16"),
}
SHAPE = {"layers": "nlayers", "width": "embsize", "heads": "nheads", "hidden": "d_hid"}
"""Our fields, as `args.json` names them."""
FINE_TUNING, ZERO_SHOT, PRETRAINING = 3001, 1200, 1200
"""The authors' most tokens of a cell, `<cls>` included."""


@dataclass(frozen=True)
class ScGPT:
    """Cui et al. 2024, as both papers ran it; PROTOCOLS B3 and B5 (fine-tuning), 4.1 (zero-shot).

    Zero-shot tasks read the bins of the 1,200 most variable genes that the vocabulary has;
    fine-tuning and pretraining read all of those. Only non-zero genes are tokens.
    """

    weights: str = "human"
    """"human", "blood", "kidney" (gauntlet models fetch scgpt), a folder, "trial:<id>", or "none":
    a fresh network."""
    vocabulary: str = field(default="", metadata=LATER)
    """A fresh network's tokens: "human" (the authors', 60,697), "vocabulary" (the same from their
    repository), a `vocab.json` or its folder; "" takes the genes of the cells."""
    backend: str = "fast"
    """"fast", our network, or "authors", that of the `scgpt` package (an extra): equal outputs."""
    layers: int = 12
    """This and the next three: the shape of a fresh network; weights bring their own."""
    width: int = 512
    heads: int = 8
    hidden: int = 512
    n_hvg: int = 1200
    """Zero-shot: how many of the most variable genes; 0 takes all, as scGPT's embed_data does."""
    hvg_flavor: str = "cell_ranger"
    """The authors' choice for logged values; for counts they take "seurat_v3" (scikit-misc)."""
    max_length: int = 0
    """The most tokens of a cell; 0 is the authors' 3,001 in fine-tuning and 1,200 elsewhere."""
    cls_value: str = "zero"
    """The value at `<cls>`: "zero" as in both papers' code, "pad" (-2) as in embed_data."""
    ties: str = "random"
    """Where equal values span several bins: "random" ones, the authors' way, or the "highest"."""
    decoder: str = "gep"
    """Reconstruction: from a gene's own output ("gep") or from the cell's embedding ("gepc")."""
    epochs: int = 0
    """0 is the authors' 20 in fine-tuning and 6 in pretraining; from scratch they took 30."""
    lr: float = 1e-4
    decay: float = 0.9
    """What the learning rate is multiplied with after each epoch."""
    batch: int = 32
    passes: int = 1
    """Forward passes a batch is parted into, for memory; without dropout they change nothing."""
    dropout: float = 0.2
    shuffle: bool = False
    """Fine-tuning: a new order of cells each epoch; the authors keep one order throughout."""
    freeze: str = "none"
    """"embeddings": of genes and values, what the code of Boiarsky et al. freezes;
    "all_but_decoder": what their text says; "none"."""
    precision: Precision = "float16"
    """Of mixed precision where the device is a GPU; a CPU computes in float32."""
    mask_ratios: tuple[float, ...] = (0.25, 0.5, 0.75)
    """Pretraining: the share of values to hide, one of these for each batch."""
    least_overlap: float = field(default=LEAST, metadata=NOT_IN_ID)
    """Least share of the cells' genes that the model must know; see `genes.overlap.LEAST`."""
    draws: ClassVar[str] = "scgpt"
    published: ClassVar[dict[str, str]] = PUBLISHED
    files: ClassVar[dict[str, tuple[str, ...]]] = FILES
    urls: ClassVar[dict[str, dict[str, str]]] = URLS
    card: ClassVar = Card(
        summary="a transformer pretrained on 33 million human cells",
        species="human",
        cpus=2,
        version=2,
        gpus=1.0,
        memory_gb=8.0,
        parts=True,
        processes=True,
        citation="Cui et al. 2024, doi:10.1038/s41592-024-02201-0",
        licence="MIT",
    )

    def __post_init__(self) -> None:
        check_choices("scgpt", self, CHOICES)
        check_share("scgpt", self.least_overlap)
        if not self.mask_ratios or not all(0 < ratio < 1 for ratio in self.mask_ratios):
            raise ValueError(f"mask_ratios {self.mask_ratios} must all be above 0 and below 1")
        if self.vocabulary and self.weights != "none":
            raise ValueError(
                f"scgpt's weights {self.weights!r} bring their own vocabulary: leave vocabulary"
                " out, or set weights='none'"
            )

    @staticmethod
    def examine(folder: Path) -> list[dict[str, str]]:
        """What becomes of each key of a folder of weights; ValueError where one fits nowhere."""
        from trainables.networks.scgpt_checkpoint import fates

        if [path.name for path in folder.iterdir()] == [VOCABULARY]:
            return [vocabulary_row(folder)]
        return fates(folder)

    def check(self, cells: Cells) -> None:
        """Raise, in one sentence, for missing weights or too few known genes, before it runs."""
        from trainables.networks import weights

        if self.weights != "none":
            weights.check(self.weights, "scgpt")
        if not self.weights.startswith(MADE_BY):
            overlap = Overlap.of(cells, self.gene_columns(cells, Store(Path())))
            overlap.refuse("scgpt", self.least_overlap, BY_SYMBOL)

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells that have a token; all where a fresh network takes their genes.

        Raises ValueError where none has one.
        """
        from trainables.networks import weights

        if self.weights == "none":
            return self.aligned(cells, self.own_vocabulary(cells)).covered
        folder = weights.folder(self.weights, store, "scgpt")
        return self.aligned(cells, read_vocabulary(folder / VOCABULARY)).covered

    def identity(self) -> dict[str, Any]:
        """What stands for weights and vocabulary in a trial's id: their content."""
        from trainables.networks import weights

        known = {"weights": weights.identity(self.weights, "scgpt")}
        if self.vocabulary:
            known["vocabulary"] = vocabulary_identity(self.vocabulary)
        return known

    def external(self) -> dict[str, External]:
        """The files of the weights, and of a fresh network's vocabulary."""
        from trainables.networks import weights

        return present(
            weights=weights.external(self.weights, "scgpt"),
            vocabulary=vocabulary_external(self.vocabulary),
        )

    @property
    def attention(self) -> str:
        """Attention kernel: that of torch's fused function, or of the authors' network."""
        return "sdpa" if self.backend == "fast" else "torch.nn.TransformerEncoder"

    # ---- capabilities -------------------------------------------------------------------------

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x width, of length 1: the output at `<cls>` (scgpt_forward.py:815).

        A cell without a known gene is its `<cls>` alone, as the authors' tokenizer has it.

        Variable genes are chosen on training rows alone where rows are marked.
        """
        run, tokens = self.zero_shot(cells, ctx, mvc=False)
        embedding = run.of_cells(tokens, "cell_emb")
        norms = np.linalg.norm(embedding, axis=1, keepdims=True)
        return (embedding / np.maximum(norms, 1e-12)).astype(np.float32)

    def reconstruct(self, cells: Cells, ctx: Context) -> Reconstruction:
        """Bins of the variable genes that a cell expresses, nothing hidden (PROTOCOLS K7)."""
        run, tokens = self.zero_shot(cells, ctx, mvc=self.decoder == "gepc")
        output = "mvc_output" if self.decoder == "gepc" else "mlm_output"
        given = run.of_tokens(tokens, (output,))[output]
        return Reconstruction("bins", tokens.binned, like(tokens.binned, given), run.genes)

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Fine-tune on `train`, keep the epoch of the lowest loss on `valid`, name the others.

        Notes: the epoch that was kept, and how many genes the vocabulary has. Epochs go to
        `ctx.report`. Raises ValueError as loading weights does, and when training diverges.
        """
        from trainables.networks.scgpt_runs import freeze

        ctx.saw("scgpt fine-tuning", train.obs_names)
        ctx.saw("scgpt choice of epoch", valid.obs_names)
        labels = [words(part, "cell_type") for part in (train, valid)]
        classes, codes = np.unique(np.concatenate(labels), return_inverse=True)
        run = self.run(train, ctx, classes=len(classes), mvc=False)
        freeze(run.network, self.freeze)
        parts = [
            self.tokens(part, run, ctx, self.max_length or FINE_TUNING)
            for part in (train, valid, test)
        ]
        taught, chosen = np.split(codes, [train.n_obs])
        plan = self.plan(20, shuffle=self.shuffle)
        done = run.fine_tune((parts[0], taught), (parts[1], chosen), plan, self.rate())
        said = [classes[run.of_cells(part, "cls_output").argmax(axis=1)] for part in parts[1:]]
        notes = {"epoch": float(done.best_epoch), "genes": float(len(run.genes))}
        return Predictions(valid=said[0], test=said[1], notes=notes)

    def pretrain(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Pretrained:
        """Predict hidden values from a gene's own output and from the cell's (GEP + GEPC).

        Keeps the epoch of the lowest loss on `valid`; `asked` and `given` are the bins hidden in
        `test`, a mean share of all, and GEP's answers to the nearest bin. Cui et al. also generate
        genes not given, which neither paper measures and this leaves out.
        """
        ctx.saw("scgpt pretraining", train.obs_names)
        ctx.saw("scgpt choice of epoch", valid.obs_names)
        run = self.run(train, ctx, mvc=True)
        longest = self.max_length or PRETRAINING
        # all of a cell's genes: those to show are drawn batch by batch
        everything = self.tokens(train, run, ctx, train.n_vars + 1)
        others = [self.tokens(part, run, ctx, longest) for part in (valid, test)]
        chosen_on = others[0], valid.obs_names
        plan = self.plan(6, shuffle=True)
        run.pretrain(everything, chosen_on, self.mask_ratios, longest, plan, self.rate())
        asked, given, _ = run.hidden(others[1], test.obs_names, float(np.mean(self.mask_ratios)))
        nearest = np.rint(given).clip(1, run.n_bins - 1)
        return Pretrained(run.save(ctx.scratch / "weights", longest), asked, nearest)

    # ---- what they share ----------------------------------------------------------------------

    def run(self, cells: Cells, ctx: Context, *, classes: int = 1, mvc: bool) -> Run:
        """A network with its vocabulary and the columns of `cells` that are in it."""
        from trainables.networks.generators import seeded
        from trainables.networks.scgpt_checkpoint import build
        from trainables.networks.scgpt_runs import Run

        known = self.checkpoint(ctx)
        tokens = known.vocabulary if known else self.own_vocabulary(cells)
        genes = self.aligned(cells, tokens)
        print(genes.described())
        if known:
            shape = known.architecture(classes=classes, mvc=mvc, dropout=self.dropout)
        else:
            shape = self.architecture(tokens, classes=classes, mvc=mvc)
        with seeded(ctx.seed, "init"):
            network = build(shape, self.backend)
        if known:
            known.load_into(network)
        n_bins = known.n_bins if known else 51
        found = (genes.columns, genes.ids, genes.names[genes.columns].astype(str), genes.tokens)
        return Run(network.to(ctx.device), tokens, n_bins, *found, ctx, self.precision)

    def own_vocabulary(self, cells: Cells) -> dict[str, int]:
        """Token to number, of a fresh network; raises as `scgpt_files.vocabulary` does."""
        return vocabulary(self.vocabulary) if self.vocabulary else new_vocabulary(cells.var_names)

    def architecture(
        self, tokens: Mapping[str, int], *, classes: int = 1, mvc: bool
    ) -> Architecture:
        """The shape of a fresh network with this vocabulary."""
        from trainables.networks.scgpt import Architecture

        own = {name: getattr(self, name) for name in (*SHAPE, "dropout")}
        ends = {"tokens": len(tokens), "pad": tokens["<pad>"]}
        return Architecture(**ends, classes=classes, mvc=mvc, **own)

    def aligned(self, cells: Cells, vocabulary: Mapping[str, int]) -> Aligned:
        """Genes and their tokens: by the id in a token's name, else by symbol."""
        named = f"weights {self.weights!r}"
        if self.vocabulary:
            named = f"vocabulary {self.vocabulary!r}"
        return align(cells.var_names, vocabulary, source=f"the {named}", ids=ids_beside(cells.var))

    def plan(self, epochs: int, *, shuffle: bool) -> Plan:
        """How the common loop goes on: gradients clipped at 1, best by validation loss (B3)."""
        from trainables.networks.training import Plan

        return Plan(
            epochs=self.epochs or epochs,
            batch=max(1, self.batch // self.passes),
            accumulate=self.passes,
            clip=1.0,
            shuffle=shuffle,
            precision=self.precision,
            best="-valid/loss",
        )

    def rate(self) -> Rate:
        """StepLR of one epoch."""
        from trainables.networks.rates import exponential

        return exponential(self.lr, self.decay)

    def checkpoint(self, ctx: Context) -> Checkpoint | None:
        """The folder of weights; None for a fresh network.

        Raises ValueError when a shape is asked for that the weights do not have.
        """
        if self.weights == "none":
            return None
        from trainables.networks import weights
        from trainables.networks.scgpt_checkpoint import Checkpoint

        found = Checkpoint(weights.folder(self.weights, ctx.store, "scgpt"))
        usual = {field.name: field.default for field in fields(self)}
        for name, theirs in SHAPE.items():
            asked = getattr(self, name)
            if asked not in (usual[name], found.args[theirs]):
                raise ValueError(
                    f"{name}={asked}, but the weights {self.weights!r} have"
                    f" {found.args[theirs]}: weights bring their own shape, so leave {name} out"
                )
        return found

    def zero_shot(self, cells: Cells, ctx: Context, *, mvc: bool) -> tuple[Run, Tokens]:
        """A network and the tokens of its most variable genes (ZS/data.py:161-242)."""
        run = self.run(cells, ctx, mvc=mvc)
        cells = summed(cells, run.tokens)
        if 0 < self.n_hvg < len(run.columns):
            fitted_on = fit_rows(cells)
            ctx.saw("scgpt variable genes", cells.obs_names[fitted_on])
            counted = run.columns[expressed(cells, fitted_on)[run.columns]]
            run = run.only(most_variable(cells, self.n_hvg, self.hvg_flavor, counted, fitted_on))
        return run, self.tokens(cells, run, ctx, self.max_length or ZERO_SHOT)

    def tokens(self, cells: Cells, run: Run, ctx: Context, longest: int) -> Tokens:
        """Cells as the network reads them; columns of one token are added."""
        return tokenized(
            summed(cells, run.tokens),
            run.columns,
            run.ids,
            run.vocabulary,
            ctx.seed,
            n_bins=run.n_bins,
            ties=self.ties == "random",
            cls_value=-2.0 if self.cls_value == "pad" else 0.0,
            longest=longest,
            threads=ctx.cpus,
        )


MODEL = ScGPT
