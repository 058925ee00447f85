"""What a model offers, what a task asks for, and what a trial receives: read this first.

A *model* is a frozen dataclass whose fields are its hyperparameters and whose methods are its
capabilities. A *task* asks for one capability and returns numbers. A *data set* knows where its
cells come from. Each lives in a file of its own that ends in `MODEL =`, `TASK =` or `DATASET =`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

    from trainables.store import Store


class Cells(Protocol):
    """An AnnData of prepared cells, as `trainables.cells.open_cells` gives it: what we rely on.

    `X`: natural-log log1p of counts scaled to a library size of 1e4, CSR float32 (cells x genes);
    `layers["counts"]`: raw integer counts, when the source has them;
    `obs["cell_type"]`, `obs["batch"]`: categorical; `obs["split"]` only where a task marks rows;
    `var_names`: gene symbols; `uns["gauntlet"]`: {"dataset", "sha256", "has_counts", "notes",
    "intake"}: notes for the reader, and the intake's decision (see `cells.decision`).
    """

    X: csr_matrix
    layers: dict[str, csr_matrix]
    obs: pd.DataFrame
    var: pd.DataFrame
    uns: dict[str, Any]
    obs_names: pd.Index
    var_names: pd.Index
    n_obs: int
    n_vars: int


Matrix: TypeAlias = "np.ndarray"
Labels: TypeAlias = "np.ndarray"
Metrics: TypeAlias = dict[str, float]
"""Metric name to value. Names are `test/...`, `valid/...` or bare; `n_...` are counts of cells."""


class NotApplicable(Exception):
    """This model cannot do this task on these cells, and that is an answer, not a failure."""


class Unavailable(NotApplicable):
    """This machine lacks a file or a program that the model needs; with it, the model can run.

    The answer is never final. The driver shows it as `not_applicable` and asks again at the next
    run. A worker that raises it has a fault: the driver had all that the trial needs.
    """


class NotInstalled(Unavailable):
    """A package is not installed; the answer stands only as long as that is so."""

    def __init__(self, reason: str, package: str = "") -> None:
        super().__init__(reason)
        self.package = package


class Apart(Exception):
    """The processes of a trial lost each other, which says nothing of the trial itself."""


@dataclass(frozen=True)
class Card:
    """What is known of a model before it is built."""

    summary: str
    version: int = 1
    """Goes up whenever the model's numbers change; it is part of every trial id."""
    wants: Literal["lognorm", "counts"] = "lognorm"
    species: Literal["", "human"] = ""
    """Species of the genes that published weights know; cells of another one are refused."""
    cpus: int = 1
    gpus: float = 0.0
    """The share of a GPU that a trial takes where there are any; elsewhere it runs on CPUs."""
    memory_gb: float = 1.0
    parts: bool = False
    """Whether it heeds `Context.parts`, so that a trial without enough memory is worth a retry."""
    processes: bool = False
    """Whether several processes, each with a GPU where there are any, may share its training: all
    of it is `networks.training.Training`."""
    extra: str | None = None
    packages: tuple[str, ...] = ()
    """Requirements such as "torch==2.2.2", which cannot live with ours: where ours does not meet
    them, a trial runs in an environment of its own. Nothing of it is part of a trial's id: raise
    `version` where the numbers change with it."""
    citation: str = ""
    licence: str = "Apache-2.0"
    control: Literal["", "floor", "ceiling"] = ""
    """What a task's scores are read between: no competitor. A ceiling is shown labels; see
    `audit.shown_labels`."""


def _nothing(*_: Any) -> None:
    """What a trial's messages come to when nobody listens."""


@dataclass(frozen=True)
class Context:
    """All that a trial receives from outside."""

    seed: int
    scratch: Path
    store: Store
    device: str = "cpu"
    cpus: int = 1
    parts: int = 1
    """Into how many a forward pass is to be parted because memory ran out before. What is learnt
    of a batch, and from whom, stays the same but for rounding and dropout."""
    trial: str = ""
    """The trial's id: what it keeps for others, such as weights, is kept under this name."""
    checkpoints: Path | None = None
    """A folder that outlives a killed worker, until the trial is settled; None: nobody resumes."""
    report: Callable[[Metrics], None] = _nothing
    """Progress, epoch by epoch: a scheduler, a tracker or a test's `list.append` listens."""
    saw: Callable[[str, Iterable[str]], None] = _nothing
    """Told by every fitting step, before it fits: its name, and the names of the cells it sees."""
    note: Callable[[str, Mapping[str, int | str]], None] = _nothing
    """Keeps facts in the trial's record, under the name of the model that they are about."""
    save: Callable[[str, pd.DataFrame], None] = _nothing
    """Keeps a table beside the trial's record; the name ends in `.parquet` or `.csv`."""


@dataclass(frozen=True)
class Predictions:
    """What an annotator says of cells whose labels it never saw, in the order of the cells."""

    test: Labels
    valid: Labels
    notes: dict[str, float] = field(default_factory=dict)
    """Numbers worth keeping, such as a regularisation strength that was chosen inside."""


@runtime_checkable
class Annotator(Protocol):
    """Names cell types after seeing labelled examples."""

    def fit_predict(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Predictions:
        """Labels for `valid` and `test`; `test` carries no labels to read."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Gives each cell coordinates, without labels."""

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """A float32 array, cells x dimensions, rows in the order of `cells`.

        Where `obs["split"]` is present, anything fitted is fitted on its "train" rows alone.
        """
        ...


def frozen(embedder: Any) -> bool:
    """Whether a cell's coordinates are its own: whatever the seed and the other cells, and which of
    them are marked. An embedder that fits nothing and draws nothing says so by `frozen = True`."""
    return bool(getattr(embedder, "frozen", False))


@dataclass(frozen=True)
class Reconstruction:
    """What a model was asked to give back, and what it gave: CSR, cells x genes, cells in order.

    What is stored was asked, or given; zeros may be stored, so never call `eliminate_zeros`.
    "bins": `asked` holds the bin of each token, 1 and up, in the model's own binning; `given`
    stores what the model said at exactly the same places, in the same units.
    "ranks": `asked` holds each token's place in its cell's list, 1 for the first; `given` holds the
    places where the model named a gene, their mean where it named one often, and may name genes
    that were not asked. `genes.ranks.places` makes either from lists of tokens.
    """

    kind: Literal["bins", "ranks"]
    asked: csr_matrix
    given: csr_matrix
    genes: np.ndarray
    """The names of the columns."""


@runtime_checkable
class Reconstructor(Protocol):
    """Gives expression back."""

    def reconstruct(self, cells: Cells, ctx: Context) -> Reconstruction:
        """A row a cell, in the order of `cells`; no label is there to read."""
        ...


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining made, and how well it guesses what was masked."""

    weights: Path | None
    """A folder in the model's own layout of checkpoints; None where nothing was learnt."""
    asked: np.ndarray
    """What was masked in `test`, a value for each masked position, such as a bin."""
    given: np.ndarray
    """What the model said there."""
    cell: np.ndarray | None = None
    """Number of the test cell of each masked position; None where a model has no bins."""
    commonest: np.ndarray | None = None
    """Commonest bin of the cell of each masked position; None where a model has no bins."""


@runtime_checkable
class Pretrainer(Protocol):
    """Learns weights from cells without labels."""

    def pretrain(self, train: Cells, valid: Cells, test: Cells, ctx: Context) -> Pretrained:
        """Learn from `train`, look at `valid` on the way, and guess what is masked in `test`.

        No label is there to read.
        """
        ...


CAPABILITIES: tuple[type, ...] = (Annotator, Embedder, Reconstructor, Pretrainer)


@dataclass(frozen=True)
class Drawn:
    """How one seed draws the cells that its trial is tested on: the statistics choose by it."""

    design: Literal["random", "batches", "fixed", "whole"]
    """"random": each seed splits the same cells anew; "batches": each seed leaves out one batch;
    "fixed": all seeds have one test set; "whole": nothing is held out."""
    selected_on_test: bool = False
    """Whether a model may choose settings on the cells that are reported."""
    batch: str = ""
    """The batch that this seed leaves out. Seeds of one batch count once."""


Direction = Literal["higher", "lower"]
"""Which scores of a metric are better."""


class Task(Protocol):
    """A question put to a model: a frozen dataclass whose fields are the question's parameters.

    A task that can be asked with fewer labelled cells has a field `fraction`.
    """

    needs: ClassVar[type]
    version: ClassVar[int]
    summary: ClassVar[str]
    headline: ClassVar[str]
    """The metric a reader looks at first, such as "test/macro_f1"."""

    @property
    def by_batch(self) -> bool:
        """Whether each seed leaves out one batch: a plan then refuses more seeds than batches."""
        ...

    metrics: ClassVar[Mapping[str, Direction]]
    """Each metric that models may be compared by, under its full name, and which scores of it are
    better: {"test/rmse": "lower"}. `gauntlet compare` refuses a metric that is not in here."""

    def drawn(self, cells: Cells, seed: int) -> Drawn:
        """How this seed draws its test cells; `gauntlet compare` chooses its test by this."""
        ...

    def described(self, cells: Cells | None = None) -> str:
        """How cells were split, in words, for tables."""
        ...

    def __call__(self, model: Any, cells: Cells, ctx: Context) -> Metrics: ...

    def check(self, cells: Cells) -> None:
        """Raise ValueError, in one sentence, when these cells cannot answer the question."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Cells of one source.

    `sha256` is their content's identity and may be known before anything is read.
    """

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def summary(self) -> str: ...
    def read(self) -> Any:
        """An AnnData with `obs["cell_type"]`, perhaps `obs["batch"]`, and counts or log values."""
        ...
