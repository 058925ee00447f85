"""An adapter for a model of scvi-tools: their class, our cells, an embedding back."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainables.cells import fit_rows
from trainables.protocols import Card, Cells, Context
from trainables.seeds import borrowed


@dataclass(frozen=True)
class LinearSCVI:
    """LDVAE: scVI with a linear decoder, trained on the counts of the cells themselves."""

    n_latent: int = 10
    max_epochs: int = 50

    card: ClassVar = Card("scVI with a linear decoder", wants="counts", licence="BSD-3-Clause")

    def embed(self, cells: Cells, ctx: Context) -> np.ndarray:
        """cells x n_latent; fitted on the cells that may be fitted on."""
        import anndata as ad
        import scvi

        rows = fit_rows(cells)
        if len(rows) < 2:
            raise ValueError("linear_scvi cannot be fitted on fewer than two cells")
        ctx.saw("linear_scvi fit", cells.obs_names[rows])
        counts = ad.AnnData(X=cells.layers["counts"].copy())
        fitted = counts[rows].copy()
        quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
        with borrowed(ctx.seed, "init") as scvi.settings.seed:
            scvi.model.LinearSCVI.setup_anndata(fitted)
            model = scvi.model.LinearSCVI(fitted, n_latent=self.n_latent)
            model.train(self.max_epochs, default_root_dir=str(ctx.scratch), **quiet)
            return np.asarray(model.get_latent_representation(counts), dtype=np.float32)
