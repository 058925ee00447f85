"""SCimilarity: an encoder that was trained to bring cells of one type together, asked as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from trainables.external import External, find, present
from trainables.genes.overlap import BY_SYMBOL, Overlap
from trainables.genes.summed import summed
from trainables.genes.vocabulary import Aligned, align
from trainables.protocols import Card, Cells, Context, Matrix
from trainables.store import Store, digest


@dataclass(frozen=True)
class SCimilarity:
    """Heimberg et al. 2024, zero-shot, from the authors' files and without their package.

    Cells become theirs as in scimilarity/utils.py: their genes by symbol in the encoder's order,
    absent ones zero (`align_dataset`), then counts to 10,000 a cell over these genes alone and
    log1p (`lognorm_counts`). It was taught with cell types of many studies, so cells of a public
    atlas are no news to it.
    """

    weights: str = "v1.1"
    """"v1.1" (gauntlet models fetch scimilarity), or the folder of a model: `encoder.ckpt` and
    `gene_order.tsv`, whatever else is there."""
    least_genes: int = 5000
    """With fewer genes in common the authors refuse (`gene_overlap_threshold`), and so do we."""
    batch: int = 1000

    published: ClassVar[dict[str, str]] = {"v1.1": "https://zenodo.org/records/10685499"}
    files: ClassVar[tuple[str, ...]] = ("encoder.ckpt", "gene_order.tsv")
    frozen: ClassVar[bool] = True
    precision: ClassVar[str] = "float32"
    card: ClassVar = Card(
        summary="a metric-learning encoder of 23 million human cells",
        species="human",
        wants="counts",
        cpus=2,
        gpus=1.0,
        memory_gb=4.0,
        citation="Heimberg et al. 2024, doi:10.1038/s41586-024-08411-y",
        licence="Apache-2.0 (code)",
    )

    @staticmethod
    def examine(folder: Path) -> list[dict[str, str]]:
        """What becomes of each key of a folder of weights; ValueError where one fits nowhere."""
        from trainables.networks.scimilarity import fates

        return fates(folder)

    def check(self, cells: Cells) -> None:
        """Raise, in one sentence, when weights or genes are missing, before anything runs."""
        from trainables.networks import weights

        weights.check(self.weights, "scimilarity")
        overlap = Overlap.of(cells, self.gene_columns(cells, Store(Path())))
        overlap.refuse("scimilarity", 0, BY_SYMBOL)

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells that are among the inputs; ValueError where these are too few."""
        return self.aligned(cells, self.folder()).covered

    def identity(self) -> dict[str, Any]:
        """What stands for the weights in a trial's id: the content of the two files that are read.

        The authors' folder holds 30 GB of other things besides.
        """
        from trainables.networks import weights

        place = weights.place(self.weights, "scimilarity")
        if not all((place / name).is_file() for name in self.files):
            return {"weights": f"absent:{self.weights}"}
        return {"weights": f"sha256:{digest([weights.fingerprint(place / n) for n in self.files])}"}

    def external(self) -> dict[str, External]:
        """The two files of the weights that are read."""
        from trainables.networks import weights

        return present(weights=find(weights.place(self.weights, "scimilarity"), self.files))

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x 128 (of the published encoder), rows of Euclidean length one.

        A cell that expresses no known gene is embedded as one of zeros.
        """
        import torch

        from trainables.networks.precision import refuse_nan
        from trainables.networks.scimilarity import read

        folder = self.folder()
        encoder, _, _ = read(folder)
        encoder = encoder.to(ctx.device)
        found = self.aligned(cells, folder)
        counts = csr_matrix(summed(cells, found.tokens).layers["counts"])[:, found.columns]
        parts = []
        for first in range(0, cells.n_obs, self.batch):
            some = counts[first : first + self.batch].toarray().astype(np.float64)
            sums = some.sum(axis=1, keepdims=True)
            scaled = np.divide(some * 1e4, sums, out=np.zeros_like(some), where=sums > 0)
            rows = torch.zeros(len(some), encoder.genes)
            rows[:, found.ids] = torch.from_numpy(np.log1p(scaled).astype(np.float32))
            with torch.inference_mode():
                parts.append(encoder(rows.to(ctx.device)).cpu().numpy())
        embedding = np.concatenate(parts)
        refuse_nan(embedding, "float32", torch.device(ctx.device), "scimilarity")
        return embedding

    def folder(self) -> Path:
        """Where the weights are; raises as `networks.weights.folder` does where nothing is."""
        from trainables.networks import weights

        return weights.folder(self.weights, Store(Path()), "scimilarity")

    def aligned(self, cells: Cells, folder: Path) -> Aligned:
        """The encoder's inputs that the cells' genes go to.

        Raises ValueError where too few are known.
        """
        from trainables.networks.scimilarity import gene_order

        places = {gene: i for i, gene in enumerate(gene_order(folder))}
        found = align(cells.var_names, places, source="scimilarity")
        if len(found.columns) < self.least_genes:
            raise ValueError(
                f"scimilarity knows {len(found.columns):,} of {cells.n_vars:,} genes (such as"
                f" {', '.join(cells.var_names[:3])}) and wants {self.least_genes:,}; name genes by"
                " symbol, or lower least_genes"
            )
        return found


MODEL = SCimilarity
