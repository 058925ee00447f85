"""GeneCompass: BERT over ranked genes with prior knowledge, driven from a checkout of its code."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from trainables.checkouts import Checkout
from trainables.choices import check_choices
from trainables.external import External, absolute, find_path, present
from trainables.genes.dictionaries import Dictionaries, Found, held
from trainables.genes.overlap import BY_ID, LEAST, Overlap, check_share
from trainables.genes.ranks import rank_values
from trainables.genes.summed import summed
from trainables.identity import NOT_IN_ID
from trainables.protocols import Card, Cells, Context, Matrix, Unavailable
from trainables.store import Store

PRIOR = "prior_knowledge"
TOKENS, NAMES = (
    f"{PRIOR}/h&m_token1000W.pickle",
    f"{PRIOR}/gene_list/Gene_id_name_dict_human_mouse.pickle",
)
CHOICES = {"species": ("human", "mouse"), "pooling": ("cls", "mean")}
LONGEST = 2048


@dataclass(frozen=True)
class GeneCompass:
    """Yang et al. 2024, zero-shot, in an environment of its own: it wants transformers 4.30.

    Cells become theirs as in preprocess/preprocess.py: count / median (no scaling of the cell),
    log2(1 + x), the first 2,048 by falling value, which go in beside the genes' tokens. Embedded by
    the token of the cell, which carries the species and which their classifier reads; no published
    code of theirs embeds cells without fine-tuning. `GAUNTLET_GENECOMPASS` names a clone completed
    with their prior knowledge (pickles, which their code opens in its own process), and
    `GAUNTLET_GENECOMPASS_PYTHON` an interpreter with their requirements. The repository states no
    licence.
    """

    weights: str = "base"
    """"base" or "small" (gauntlet models fetch genecompass), or a folder with `config.json` and
    `pytorch_model.bin`."""
    checkout: str = ""
    """The folder of the clone, where it is not the environment variable's."""
    python: str = field(default="", metadata=NOT_IN_ID)
    """The interpreter, where it is not the environment variable's."""
    medians: str = ""
    """The file of the genes' medians; "" is where preprocess.py reads it, in the checkout:
    `scdata/dict/human_gene_median_after_filter.pickle`. A gene without one has 1, as there."""
    species: str = "human"
    pooling: str = "cls"
    """"cls", or the "mean" over a cell's genes."""
    batch: int = 10
    least_overlap: float = field(default=LEAST, metadata=NOT_IN_ID)
    """Least share of the cells' genes that the model must know; see `genes.overlap.LEAST`."""

    published: ClassVar[dict[str, str]] = {
        "base": "https://www.scidb.cn/en/anonymous/SUZOdk1y",
        "small": "https://www.scidb.cn/en/anonymous/SUZOdk1y",
    }
    files: ClassVar[tuple[str, ...]] = ("config.json", "pytorch_model.bin")
    home: ClassVar[Checkout] = Checkout(
        model="genecompass",
        page="https://github.com/xCompass-AI/GeneCompass",
        needs=(
            *(f"genecompass/{n}.py" for n in ("__init__", "utils", "modeling_bert")),
            "genecompass/knowledge_embeddings.py",
            TOKENS,
            NAMES,
            f"{PRIOR}/homologous_hm_token.pickle",
            f"{PRIOR}/promoter_emb/human_emb_768.pickle",
            f"{PRIOR}/promoter_emb/mouse_emb_768.pickle",
            f"{PRIOR}/gene_co_express_emb/Human_dim_768_gene_28291_random.pickle",
            f"{PRIOR}/gene_co_express_emb/Mouse_dim_768_gene_27444_random.pickle",
            f"{PRIOR}/gene_family/Human_dim_768_gene_28291_random.pickle",
            f"{PRIOR}/gene_family/Mouse_dim_768_gene_27934_random.pickle",
            f"{PRIOR}/PECA2vec/human_PECA_vec.pickle",
            f"{PRIOR}/PECA2vec/mouse_PECA_vec.pickle",
        ),
        packages=("torch", "transformers=4.", "datasets"),
    )
    frozen: ClassVar[bool] = True
    precision: ClassVar[str] = "float32"
    attention: ClassVar[str] = "authors"
    card: ClassVar = Card(
        summary="BERT over ranked genes and prior knowledge, pretrained on 120 million cells",
        version=2,
        wants="counts",
        cpus=2,
        gpus=1.0,
        memory_gb=12.0,
        citation="Yang et al. 2024, doi:10.1038/s41422-024-01034-y",
        licence="none stated",
    )

    def __post_init__(self) -> None:
        check_choices("genecompass", self, CHOICES)
        check_share("genecompass", self.least_overlap)

    @staticmethod
    def examine(folder: Path) -> list[dict[str, str]]:
        """The keys of a folder's file; the runner takes all of them or fails."""
        from trainables.networks import weights

        file = Path(folder) / "pytorch_model.bin"
        state = weights.read(file)
        weights.refuse_not_finite(state, str(file))
        return [
            {"key": key, "shape": str(tuple(value.shape)), "fate": "theirs to load"}
            for key, value in state.items()
        ]

    def check(self, cells: Cells) -> None:
        """Raise, in one sentence, for a missing file or too few known genes."""
        from trainables.networks import weights

        self.home.check(self.checkout, self.python)
        weights.check(self.weights, "genecompass")
        overlap = Overlap.of(cells, self.gene_columns(cells, Store(Path())))
        overlap.refuse("genecompass", self.least_overlap, BY_ID)

    def gene_columns(self, cells: Cells, store: Store) -> np.ndarray:
        """Columns of the cells that have a token; ValueError where none has one."""
        return self.found(cells, self.home.check(self.checkout, self.python)).covered

    def identity(self) -> dict[str, Any]:
        """What stands for weights, checkout and medians in a trial's id: their content."""
        from trainables.networks import weights

        root = self.home.folder(self.checkout)
        medians = (
            weights.identity(str(self.median_file(root)), "genecompass") if root else "absent:"
        )
        return {
            "weights": weights.identity(self.weights, "genecompass"),
            "checkout": self.home.identity(self.checkout),
            "medians": medians,
        }

    def external(self) -> dict[str, External]:
        """The files of the weights and the clone, the genes' medians, and the interpreter."""
        from trainables.networks import weights

        root = self.home.folder(self.checkout)
        return present(
            weights=weights.external(self.weights, "genecompass"),
            checkout=self.home.external(self.checkout),
            medians=find_path(self.median_file(root)) if root else None,
            python=self.home.external_python(self.python),
        )

    def embed(self, cells: Cells, ctx: Context) -> Matrix:
        """cells x width; a cell that expresses no gene with a token is embedded as zeros.

        Raises ValueError where all cells are such.
        """
        import torch

        from trainables.networks import weights
        from trainables.networks.precision import refuse_nan

        root = self.home.check(self.checkout, self.python)
        found = self.found(cells, root)
        print(f"genecompass: {found.report}")
        folder = weights.folder(self.weights, Store(Path()), "genecompass")
        file = folder / "pytorch_model.bin"
        # refuses code, which theirs would run
        weights.refuse_not_finite(weights.read(file), str(file))
        arrays = self.tokens(cells, found)
        filled = np.flatnonzero(arrays["lengths"])
        if not len(filled):
            raise ValueError("genecompass has no token for any cell; name genes by Ensembl id")
        arrays = {name: part[filled] for name, part in arrays.items()}
        job = {"weights": str(folder), "pooling": self.pooling, "batch": self.batch}
        job["species"] = CHOICES["species"].index(self.species)
        said = self.home.ask(job, arrays, ctx, self.checkout, self.python)
        refuse_nan(said, "float32", torch.device(ctx.device), "genecompass")
        embedding = np.zeros((cells.n_obs, said.shape[1]), dtype=np.float32)
        embedding[filled] = said
        return embedding

    def tokens(self, cells: Cells, found: Found) -> dict[str, np.ndarray]:
        """Token ids by falling value, the values, and how many there are of each cell.

        Counts of several columns with one token are added.
        """
        counts = csr_matrix(summed(cells, found.tokens).layers["counts"]).sorted_indices()
        alone = np.ones(cells.n_obs)
        ids, lengths = rank_values(
            counts, found.tokens, found.medians, n_counts=alone, most=LONGEST
        )
        values = np.zeros(ids.shape, dtype=np.float32)
        told = np.zeros(found.tokens.max() + 1)
        for row, n in enumerate(lengths):
            stored = slice(counts.indptr[row], counts.indptr[row + 1])
            genes = counts.indices[stored]
            known = found.tokens[genes] >= 0
            genes = genes[known]
            scaled = counts.data[stored][known] / found.medians[genes]
            told[found.tokens[genes]] = np.log2(1 + scaled)
            values[row, :n] = told[ids[row, :n]]
        return {"ids": ids, "values": values, "lengths": lengths}

    def found(self, cells: Cells, root: Path) -> Found:
        """Each column's token and median; Unavailable where the medians are not there,
        and ValueError where no gene has a token."""
        file = self.median_file(root)
        if not file.is_file():
            raise (ValueError if self.medians else Unavailable)(
                f"genecompass lacks the genes' medians, {file}; ask its authors for the file that"
                " preprocess/preprocess.py reads there, or name yours with medians="
            )
        return dictionaries(root, file, self.species).found(cells.var, source=f"{root}")

    def median_file(self, root: Path) -> Path:
        """Where the medians are, or would be."""
        usual = root / f"scdata/dict/{self.species}_gene_median_after_filter.pickle"
        return absolute(self.medians) if self.medians else usual


@lru_cache(maxsize=2)
def dictionaries(root: Path, medians: Path, species: str) -> Dictionaries:
    """The checkout's tokens of a species by Ensembl id, with medians and symbols."""
    start = {"human": "ENSG", "mouse": "ENSMUSG"}[species]
    tokens = {k: int(v) for k, v in held(root / TOKENS).items() if str(k).startswith(start)}
    known = held(medians)
    symbols = {str(name): str(own) for own, name in held(root / NAMES).items() if own in tokens}
    return Dictionaries(tokens, {own: float(known.get(own, 1)) for own in tokens}, symbols)


MODEL = GeneCompass
