"""scVI: a variational autoencoder of counts that is told the batches and learns from the cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from trainables.cells import fit_rows
from trainables.genes.expressed import expressed_in
from trainables.identity import LATER
from trainables.protocols import Card, Cells, Context, Matrix
from trainables.seeds import borrowed


@dataclass(frozen=True)
class SCVI:
    """As in Kedzierska et al.'s notebook: two layers, thirty dimensions, negative binomial counts.

    Not zero-shot: it trains on the cells that it embeds.
    """

    n_layers: int = 2
    n_latent: int = 30
    gene_likelihood: str = "nb"
    max_epochs: int = 0
    """0 leaves it to scvi-tools: 400, and fewer above 20,000 cells."""
    min_cells: int = field(default=0, metadata=LATER)
    """Genes of fewer cells are left out; the paper's 10."""

    precision: ClassVar[str] = "float32"
    card: ClassVar = Card(
        summary="scVI, trained on the cells' counts and batches",
        wants="counts",
        extra="scvi",
        gpus=1.0,
        memory_gb=8.0,
        citation="Lopez et al. 2018, doi:10.1038/s41592-018-0229-2",
        licence="BSD-3-Clause",
    )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x n_latent, the posterior means; epochs and losses through `ctx.report`."""
        if find_spec("scvi") is None:
            raise LookupError(
                "model 'scvi' is not installed: uv sync --extra scvi, or pip install"
                " 'sc-gauntlet[scvi]'"
            )
        scvi: Any = import_module("scvi")  # this file has the same name
        with borrowed(ctx.seed, "init") as seed:
            scvi.settings.seed = seed
            return self.trained(scvi, cells, ctx)

    def trained(self, scvi: Any, cells: Cells, ctx: Context) -> Matrix:
        """The posterior means, after training on the rows that may be fitted on."""
        import anndata as ad

        fitted_on = fit_rows(cells)
        if len(fitted_on) < 2:
            raise ValueError("scvi needs two cells to train on, one of them to watch, and has one")
        ctx.saw("scvi fit", cells.obs_names[fitted_on])
        batches = [key for key in ("batch",) if key in cells.obs]
        # a copy: scvi-tools writes into what it is given, and log values are of no use to it
        chosen = cells.layers["counts"][:, expressed_in(cells, self.min_cells)]
        counts: Any = ad.AnnData(X=chosen.copy(), obs=cells.obs[batches].copy())
        counts.obs_names_make_unique()
        fitted = counts[fitted_on].copy()
        scvi.model.SCVI.setup_anndata(fitted, batch_key=batches[0] if batches else None)
        built = scvi.model.SCVI(
            fitted,
            n_layers=self.n_layers,
            n_latent=self.n_latent,
            gene_likelihood=self.gene_likelihood,
        )
        built.train(
            max_epochs=self.max_epochs or None,
            accelerator="gpu" if ctx.device.startswith("cuda") else "cpu",
            devices=1,
            enable_progress_bar=False,
            logger=False,
            enable_checkpointing=False,
            default_root_dir=str(ctx.scratch),
            callbacks=[reporter(ctx)],
        )
        return np.asarray(built.get_latent_representation(counts), dtype=np.float32)


def reporter(ctx: Context) -> Any:
    """A callback of the trainer's that tells each epoch's loss."""
    from lightning.pytorch.callbacks import Callback  # pyright: ignore[reportMissingImports]

    class Report(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            loss = float(trainer.callback_metrics["train_loss"])
            ctx.report({"epoch": trainer.current_epoch + 1, "train/loss": loss})

    return Report()


MODEL = SCVI
