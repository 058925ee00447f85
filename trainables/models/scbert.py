"""scBERT: a Performer over all genes, pretrained to guess hidden bins, fine-tuned to name cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from trainables.cells import fit_rows, words
from trainables.choices import check_choices
from trainables.external import External, present
from trainables.genes.coexpression import positions
from trainables.genes.overlap import BY_SYMBOL, LEAST, Overlap, check_share
from trainables.genes.panel import Panel
from trainables.genes.variable import most_variable
from trainables.identity import LATER, NOT_IN_ID
from trainables.metrics import classification
from trainables.networks import MADE_BY
from trainables.protocols import (
    Card,
    Cells,
    Context,
    Matrix,
    Metrics,
    Predictions,
    Pretrained,
)
from trainables.scbert_files import OWN, Files, fates, identity, keep
from trainables.scbert_files import external as external_files
from trainables.seeds import random_state
from trainables.store import Store

if TYPE_CHECKING:
    from trainables.networks.performer import ScBERTNetwork
    from trainables.networks.precision import Precision
    from trainables.networks.rates import Rate
    from trainables.networks.scbert_runs import Run
    from trainables.networks.training import Plan

CHECKPOINT = "https://drive.weixin.qq.com/s?k=AJEAIQdfAAoUxhXE7r"
GENES = (
    "https://github.com/clinicalml/sc-foundation-eval/blob/main/data/panglao_10000.h5ad.gz (the"
    " first for a limited time and on request, says scBERT's README)"
)
CHOICES = {
    "stabiliser": ("per_cell", "paper"),
    "trained": ("last", "second_to_last", "all"),
    "class_weights": ("train", "paper", "none"),
    "precision": ("bfloat16", "float16", "float32"),
}


@dataclass(frozen=True)
class ScBERT:
    """As Boiarsky et al. fine-tuned it (dist_finetune.py), save where the defaults say otherwise.

    `weights`: "panglao" (the authors' checkpoint), a file or folder, "trial:<id>", or "none". What
    is not given by weights is made of the training cells.

    `gene2vec`: whether genes have positions. `positions` says which, where weights are "none" (the
    paper's "no pretraining" keeps gene2vec): a `.npy` of genes x dim with the gene list beside it,
    other weights whose positions are taken, or "coexpression", ours (`genes.coexpression`).

    `n_genes`: the most variable genes only, 0 for all; weights bring their own list. `rescale` as
    in `Panel.tokens`.
    """

    weights: str = "panglao"
    gene2vec: bool = True
    positions: str = ""
    n_genes: int = 0
    rescale: bool = True

    epochs: int = 10
    batch: int = 32
    accumulate: int = 1
    lr: float = 1e-4
    """The peak of the schedule, `networks.rates.warmup_cosine`, which is stepped once an epoch:
    the first epoch runs at `min_lr`, and the peak is reached after `warmup` epochs."""
    min_lr: float = 1e-6
    warmup: int = 5
    cycle: int = 15
    clip: float = 0.0
    """The largest gradient norm, 0 for any; the paper's fine-tuning has an inactive 1e6, its
    pretraining 100."""
    precision: Precision = "bfloat16"
    """Of a GPU that has it; CPUs compute in float32, as the paper did."""

    trained: str = "last"
    """The one block that fine-tuning trains: Boiarsky et al.'s "last", or "second_to_last" as in
    scBERT's own finetune.py; "all" freezes nothing."""
    class_weights: str = "train"
    """1 / count in the loss; "paper" counts the chosen-on cells too (dist_finetune.py:206),
    "none" is scBERT's own."""
    stabiliser: str = "per_cell"
    """"paper": a cell's output depends on its batch; see `networks.performer.KernelAttention`."""
    redraw: int = 0
    """Random features are drawn anew every so many passes, in frozen blocks too; the paper's 1000.
    0 keeps those of the weights, and the frozen blocks then say the same in every epoch."""

    report_batch: int = field(default=0, metadata=LATER)
    """Cells of a forward pass where the kept epoch names the reported cells; the paper's 64. Cells
    are then asked in an order that the seed draws, also after each epoch. 0: `batch`, in order."""

    dim: int = 200
    depth: int = 6
    heads: int = 10
    dim_head: int = 64
    ff_mult: int = 4

    prefix_mb: float = 256.0
    """What the frozen blocks say of the cells is kept in the store where it is no larger."""
    least_overlap: float = field(default=LEAST, metadata=NOT_IN_ID)
    """Least share of the cells' genes that the model must know; see `genes.overlap.LEAST`."""

    published: ClassVar[dict[str, str]] = dict.fromkeys(
        ("panglao", "gene2vec"), f"{CHECKPOINT} and {GENES}"
    )
    files: ClassVar[dict[str, tuple[str, ...]]] = {
        "panglao": ("panglao_pretrain.pth", "panglao_10000.h5ad"),
        "gene2vec": ("gene2vec_16906.npy", "panglao_10000.h5ad"),  # positions, and their genes
    }
    draws: ClassVar = "scbert"
    attention: ClassVar[str] = "performer"
    card: ClassVar = Card(
        summary="scBERT: a Performer over genes in bins, fine-tuned in its last block",
        species="human",
        version=2,
        gpus=1.0,
        memory_gb=8.0,
        parts=True,
        processes=True,
        citation="Yang et al. 2022, doi:10.1038/s42256-022-00534-z; fine-tuned as Boiarsky et al."
        " 2024, doi:10.1038/s42256-024-00949-w",
        licence="Apache-2.0; the authors' weights GPL-3.0",
    )

    def __post_init__(self) -> None:
        check_choices("scbert", self, CHOICES)
        check_share("scbert", self.least_overlap)
        if self.weights == "none" and self.gene2vec and not self.positions:
            raise ValueError(
                "scbert without weights needs to be told where genes lie: positions=FILE.npy (the"
                " authors' gene2vec_16906.npy), positions='coexpression', or gene2vec=False"
            )

    @staticmethod
    def examine(folder: Path) -> list[dict[str, str]]:
        """What becomes of each key of a folder of weights; ValueError where one fits nowhere."""
        return fates(folder)

    @property
    def frozen(self) -> bool:
        """Whether a cell's embedding is its own: all is in the weights, and nothing of a batch."""
        return self.weights != "none" and self.stabiliser == "per_cell" and not self.redraw

    def identity(self) -> dict[str, Any]:
        """Weights and positions by their content."""
        return {"weights": identity(self.weights), "positions": identity(self.positions)}

    def external(self) -> dict[str, External]:
        """The files of weights and positions, gene lists among them."""
        return present(
            weights=external_files(self.weights), positions=external_files(self.positions)
        )

    def check(self, cells: Cells) -> None:
        """Refuse files that do not fit, before anything runs: ValueError in one sentence.

        Unavailable for published weights that were not fetched. What another trial makes is
        looked at when it is there.
        """
        named = [n for n in (self.weights, self.positions) if n not in OWN]
        if any(n.startswith(MADE_BY) for n in named):
            return
        nowhere = Store(Path())
        for name in named:
            Files.find(name, nowhere).panel.aligned(cells)
        if named:
            self.loaded(self.panel(nowhere), nowhere, 0)
        overlap = Overlap.of(cells, self.gene_columns(cells, nowhere))
        overlap.refuse("scbert", self.least_overlap, BY_SYMBOL)

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells that the gene list names; all where the cells bring the list.

        Raises ValueError where none is named.
        """
        if not self.source:
            return np.arange(cells.n_vars)
        return self.panel(store).aligned(cells).covered

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Fine-tune, keep the epoch of the best accuracy on `valid`, and name both other parts.

        Under the task's protocol "paper" these are the reported cells, as in the paper, and the
        task says so. Each epoch reports train/loss, lr, valid/accuracy and valid/macro_f1; notes
        hold the epoch that was kept and how many genes of the network the cells lack.
        """
        from trainables.networks import cell_types

        ctx.saw("scbert fit", train.obs_names)
        ctx.saw("scbert choice of epoch", valid.obs_names)
        run = self.start(train, ctx)
        names, y = np.unique(words(train, "cell_type"), return_inverse=True)
        trunks = run.trunks((train, valid, test), len(names), cast(Any, self.trained))
        run.keep(trunks[:2], self.prefix_mb)
        truth = words(valid, "cell_type")
        after, at_end = ("order after epochs", "order of report") if self.report_batch else ("", "")

        def evaluate() -> Metrics:
            said = names[run.classified(trunks[1], drawn_for=after)]
            scores = classification.counted(truth, said).scores(np.unique(truth))
            return {f"valid/{name}": scores[name] for name in ("accuracy", "macro_f1")}

        weight = cell_types.class_weights(self.class_weights, y, truth, names)
        loss = cell_types.named_loss(
            run.network, trunks[0], y, weight, self.redraw, ctx.seed, ctx.parts
        )
        done = run.trained(loss, train.n_obs, *self.schedule("valid/accuracy"), evaluate)
        said = [names[run.classified(trunk, self.report_batch, at_end)] for trunk in trunks[1:]]
        notes = {"epoch": float(done.best_epoch), "genes_absent": float(run.panel.absent(train))}
        return Predictions(valid=said[0], test=said[1], notes=notes)

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x dim: the mean of a cell's encodings over all positions.

        A cell without a known gene has bin 0 everywhere, as in the authors' code.
        """
        return self.start(cells, ctx).embedding(cells)

    def pretrain(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Pretrained:
        """Learn to guess hidden bins (dist_pretrain.py), and guess those of `test`.

        The last epoch is kept, as in the paper; `valid` only tells how it goes, each epoch. With
        `epochs=0` the weights are asked as they are. What is hidden of a cell depends on the seed
        and its tokens, and on nothing of the model.
        """
        ctx.saw("scbert pretraining", train.obs_names)
        run = self.start(train, ctx)
        taught, shown, hidden = (run.tokens(part) for part in (train, valid, test))
        run.pretrain(taught, shown, *self.schedule(""))
        answers = run.guessed(hidden, "test")
        folder = ctx.scratch / "weights"
        made = keep(run.network, run.panel, self.epochs, folder) if self.epochs else None
        return replace(answers, weights=made)

    # ---- what these share ---------------------------------------------------------------------

    def start(self, cells: Cells, ctx: Context) -> Run:
        """The genes and the network, from files or from the cells that may be fitted on."""
        import torch

        from trainables.networks.scbert_runs import Run

        torch.set_num_threads(ctx.cpus)  # numba raises it where scanpy chooses genes
        rows = fit_rows(cells)
        if self.source:
            panel = self.panel(ctx.store)
        else:
            if self.n_genes:
                ctx.saw("scbert choice of genes", cells.obs_names[rows])
            columns = np.arange(cells.n_vars)
            if self.n_genes:
                columns = most_variable(cells, self.n_genes, "seurat", columns, rows)
            panel = Panel(tuple(cells.var_names[columns]), "these cells")
        network = self.loaded(panel, ctx.store, ctx.seed)
        if self.weights == "none" and self.positions == "coexpression" and self.gene2vec:
            ctx.saw("scbert positions", cells.obs_names[rows])
            found = panel.aligned(cells)
            x = cells.X[rows][:, found.columns]
            placed = np.zeros((len(panel.genes), self.dim), dtype=np.float32)
            placed[found.ids] = positions(x, self.dim, random_state(ctx.seed, "positions"))
            network.place(placed)
        how = self.batch, self.rescale, self.redraw, self.precision
        return Run(network.to(ctx.device), panel, ctx, *how)

    @property
    def source(self) -> str:
        """What brings the gene list: weights, else positions, "" where the cells do."""
        named = self.weights if self.weights != "none" else self.positions
        return "" if named in OWN or (self.weights == "none" and not self.gene2vec) else named

    def panel(self, store: Store) -> Panel:
        """The gene list of the files."""
        return Files.find(self.source, store).panel

    def loaded(self, panel: Panel, store: Store, seed: int) -> ScBERTNetwork:
        """A network for this list, with what the files hold; the rest as initialised."""
        from trainables.networks.generators import seeded
        from trainables.networks.performer import ScBERTNetwork, Size

        sizes = {name: getattr(self, name) for name in ("dim", "depth", "heads", "dim_head")}
        size = Size(len(panel.genes), ff_mult=self.ff_mult, gene2vec=self.gene2vec, **sizes)
        with seeded(seed, "init"):
            network = ScBERTNetwork(size, cast(Any, self.stabiliser))
        if self.weights != "none":
            Files.find(self.weights, store).load(network)
        if self.gene2vec and self.positions not in OWN:
            network.place(Files.find(self.positions, store).positions())
        return network.eval()

    def schedule(self, best: str) -> tuple[Plan, Rate]:
        """How the common loop goes on, and its learning rates."""
        from trainables.networks.rates import warmup_cosine
        from trainables.networks.training import Plan

        clip, precision = self.clip or math.inf, self.precision
        plan = Plan(
            self.epochs, self.batch, self.accumulate, clip=clip, precision=precision, best=best
        )
        return plan, warmup_cosine(self.lr, self.min_lr, self.warmup, self.cycle)


MODEL = ScBERT
