"""scFoundation: a transformer of expressed genes, driven from a checkout of its authors' code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from trainables.checkouts import Checkout
from trainables.choices import check_choices
from trainables.external import External, placeholder, present
from trainables.genes.overlap import BY_SYMBOL, LEAST, Overlap, check_share
from trainables.genes.summed import summed
from trainables.genes.vocabulary import Aligned, align
from trainables.identity import NOT_IN_ID
from trainables.protocols import Card, Cells, Context, Matrix
from trainables.store import Store

PAGE = "https://github.com/biomap-research/scFoundation"
GENES = "model/OS_scRNA_gene_index.19264.tsv"
MODULES = "__init__", "select_model", "mae_autobin", "performer", "reversible", "transformer"
CHOICES = {"pool": ("all", "max"), "key": ("cell", "rde")}


@dataclass(frozen=True)
class ScFoundation:
    """Hao et al. 2024, zero-shot: the cell embedding of model/get_embedding.py.

    Counts of 19,264 genes, scaled to 10,000 over these and logged, the expressed ones as tokens,
    with the depth asked for and the depth found behind them. One cell at a time, as there. The code
    runs where `GAUNTLET_SCFOUNDATION` names a clone of it, in the interpreter that
    `GAUNTLET_SCFOUNDATION_PYTHON` names, else in this one (it needs einops and local-attention).
    """

    weights: str = "01b-resolution"
    """"01b-resolution" (gauntlet models fetch scfoundation), a folder with `models.ckpt`, or that
    file. Licensed for research that is not commercial."""
    checkout: str = ""
    """The folder of the clone, where it is not the environment variable's."""
    python: str = field(default="", metadata=NOT_IN_ID)
    """The interpreter, where it is not the environment variable's."""
    key: str = "cell"
    """Which of the file's networks: "cell", their `--version ce`, or "rde"."""
    resolution: str = "t4"
    """The depth asked for, their `--tgthighres`: "t4", ten thousand counts; "f1", as many times the
    cell's; "a5", 5 more in log10."""
    pool: str = "all"
    """"all": both depth tokens, and the maximum and the mean of the genes, side by side; "max"."""
    least_overlap: float = field(default=LEAST, metadata=NOT_IN_ID)
    """Least share of the cells' genes that the model must know; see `genes.overlap.LEAST`."""

    published: ClassVar[dict[str, str]] = {"01b-resolution": f"{PAGE}/tree/main/model#inference"}
    files: ClassVar[tuple[str, ...]] = ("models.ckpt",)
    home: ClassVar[Checkout] = Checkout(
        model="scfoundation",
        page=PAGE,
        needs=(
            "model/load.py",
            *(f"model/pretrainmodels/{name}.py" for name in MODULES),
            GENES,
        ),
        packages=("torch", "numpy", "einops", "local-attention"),
    )
    frozen: ClassVar[bool] = True
    precision: ClassVar[str] = "float32"
    attention: ClassVar[str] = "authors"
    card: ClassVar = Card(
        summary="a transformer of expressed genes, pretrained on 50 million human cells",
        species="human",
        wants="counts",
        cpus=2,
        gpus=1.0,
        memory_gb=8.0,
        citation="Hao et al. 2024, doi:10.1038/s41592-024-02305-7",
        licence="Apache-2.0 (code), non-commercial (weights)",
    )

    def __post_init__(self) -> None:
        check_choices("scfoundation", self, CHOICES)
        check_share("scfoundation", self.least_overlap)
        if not re.fullmatch(r"[tfa]\d+(\.\d+)?", self.resolution):
            raise ValueError(
                f"scfoundation's resolution {self.resolution!r} is no t, f or a with a number"
                " behind it"
            )

    @staticmethod
    def examine(folder: Path) -> list[dict[str, str]]:
        """The keys of a folder's networks; their code takes all of them or fails."""

        networks = {key: state_of(Path(folder) / "models.ckpt", key) for key in CHOICES["key"]}
        return [
            {"key": f"{key}: {name}", "shape": str(tuple(value.shape)), "fate": "theirs to load"}
            for key, state in networks.items()
            for name, value in state.items()
        ]

    def check(self, cells: Cells) -> None:
        """Raise, in one sentence, for a missing file or too few known genes."""
        self.home.check(self.checkout, self.python)
        self.file()
        overlap = Overlap.of(cells, self.gene_columns(cells, Store(Path())))
        overlap.refuse("scfoundation", self.least_overlap, BY_SYMBOL)

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells that are among the inputs, by symbol; ValueError where none is."""
        found, _ = self.aligned(cells, self.home.check(self.checkout, self.python))
        return found.covered

    def identity(self) -> dict[str, Any]:
        """What stands for weights and checkout in a trial's id: their content."""
        from trainables.networks import weights

        return {
            "weights": weights.identity(self.weights, "scfoundation"),
            "checkout": self.home.identity(self.checkout),
        }

    def external(self) -> dict[str, External]:
        """The files of the weights and the clone, and the interpreter."""
        from trainables.networks import weights

        return present(
            weights=weights.external(self.weights, "scfoundation"),
            checkout=self.home.external(self.checkout),
            python=self.home.external_python(self.python),
        )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x 4 hidden widths ("all") or one ("max").

        A cell with fewer than two counts of known genes has no depth that theirs could take, and
        is embedded as zeros.
        """
        import torch

        from trainables.networks.precision import refuse_nan

        root = self.home.check(self.checkout, self.python)
        state_of(self.file(), self.key)
        found, size = self.aligned(cells, root)
        counts = csr_matrix(summed(cells, found.tokens).layers["counts"])[:, found.columns]
        counts.eliminate_zeros()
        deep = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel() >= 2)
        if not len(deep):
            raise ValueError("scfoundation needs a cell with two counts of genes that it knows")
        some = counts[deep]
        arrays = {"counts": some.data, "genes": found.ids[some.indices], "starts": some.indptr}
        job = {"weights": str(self.file()), "genes": size, "key": self.key, "pool": self.pool}
        job["resolution"] = self.resolution
        said = self.home.ask(job, arrays, ctx, self.checkout, self.python)
        refuse_nan(said, "float32", torch.device(ctx.device), "scfoundation")
        embedding = np.zeros((cells.n_obs, said.shape[1]), dtype=np.float32)
        embedding[deep] = said
        return embedding

    def file(self) -> Path:
        """The weights' file; raises as `networks.weights.folder` does where nothing is."""
        from trainables.networks import weights

        place = weights.folder(self.weights, Store(Path()), "scfoundation")
        return place / "models.ckpt" if place.is_dir() else place

    def aligned(self, cells: Cells, folder: Path) -> tuple[Aligned, int]:
        """The inputs that the cells' genes go to, by symbol, and how many inputs there are.

        Raises ValueError where no gene is known.
        """
        genes = pd.read_csv(folder / GENES, sep="\t")["gene_name"]
        places = {str(gene): i for i, gene in enumerate(genes)}
        return align(cells.var_names, places, source="scfoundation"), len(genes)


def state_of(file: Path, key: str) -> dict[str, Any]:
    """Tensors of one of the file's networks, by name; none where the file lacks it.

    Raises ValueError for a file that cannot be read, or that holds NaN or infinity.
    """
    from trainables.networks import weights

    if problem := placeholder(file):
        raise ValueError(f"{file} {problem}")
    held = weights.read_pickle(file)
    inside = held.get(key) if isinstance(held, dict) else None
    state = weights.only_tensors(inside.get("state_dict") if isinstance(inside, dict) else None)
    weights.refuse_not_finite(state, str(file))
    return state


MODEL = ScFoundation
