"""The task `reconstruction` and its average, asked of models whose answers are known."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from orchestrator.execute import execute
from trainables import catalog
from trainables.cells import open_cells, prepare
from trainables.genes.ranks import places, rank_values
from trainables.metrics.reconstruction import mean_bins
from trainables.protocols import Card, Reconstruction, Reconstructor
from trainables.tasks.reconstruction import TASK as GivingBack
from trainables.trial import Trial


@dataclass(frozen=True)
class Halves:
    """Asked for rounded expression; gives the share `knows` of it, and each gene's mean else."""

    knows: float = 0.5
    card: ClassVar = Card(summary="knows some")

    def reconstruct(self, cells, ctx):
        assert "cell_type" not in cells.obs
        asked = csr_matrix(cells.X).astype(float)
        asked.data = np.ceil(asked.data)
        average = mean_bins(asked, per_gene=True).data
        said = self.knows * asked.data + (1 - self.knows) * average
        given = csr_matrix((said, asked.indices, asked.indptr), shape=asked.shape)
        return Reconstruction("bins", asked, given, np.asarray(cells.var_names))


@dataclass(frozen=True)
class Echo:
    """Asked for the order of genes; gives the first `knows` of each list and then repeats."""

    knows: int = 10**6
    card: ClassVar = Card(summary="repeats")

    def reconstruct(self, cells, ctx):
        n = cells.n_vars
        ids, lengths = rank_values(cells.X, np.arange(n), np.ones(n))
        said = np.where(np.arange(ids.shape[1]) < self.knows, ids, ids[:, :1])
        asked, given = places(ids, lengths, n), places(said, lengths, n)
        return Reconstruction("ranks", asked, given, np.asarray(cells.var_names))


@pytest.fixture
def cells(ctx):
    return open_cells(prepare(catalog.dataset("toy"), ctx.store))


@pytest.mark.parametrize("model", [Halves(knows=1.0), Echo()])
def test_who_knows_all_has_a_skill_of_one(model, cells, ctx):
    assert isinstance(model, Reconstructor)
    assert GivingBack()(model, cells, ctx)["skill"] == pytest.approx(1)


@pytest.mark.parametrize("model", [Halves(), Echo(knows=5)])
def test_the_average_of_what_a_model_is_asked_has_none(model, cells, ctx):
    average = catalog.find("models", "average")(model)
    found = GivingBack()(average, cells, ctx)
    assert found["skill"] == pytest.approx(0, abs=1e-9)
    of_model = GivingBack()(model, cells, ctx)
    name = "mse" if "mse" in found else "rank_union"
    assert of_model[f"average/{name}"] == pytest.approx(found[name])


def test_half_of_the_way_is_three_quarters_of_the_squared_error(cells, ctx):
    found = GivingBack()(Halves(), cells, ctx)
    assert found["skill"] == pytest.approx(0.75)
    assert found["average/mse"] < found["constant/mse"]


def test_the_one_number_of_the_paper_can_be_asked_for(cells, ctx):
    average = catalog.find("models", "average")
    found = GivingBack()(average(Halves(), over="all"), cells, ctx)
    assert found["mse"] == pytest.approx(found["constant/mse"])
    assert found["skill"] < 0
    with pytest.raises(ValueError, match="over 'gene' or 'all', not 'cell'"):
        average(Halves(), over="cell")


def test_genes_and_cells_are_told_one_by_one(cells, ctx):
    kept = {}
    found = GivingBack()(Halves(), cells, replace(ctx, save=kept.__setitem__))
    genes, each = kept["per_gene.csv"], kept["per_cell.parquet"]
    assert set(genes["gene"]) <= set(cells.var_names)
    assert genes["mse"].mean() == pytest.approx(found["mse_genes"])
    assert (genes["mse"] <= genes["mse_average"] + 1e-12).all()
    assert each["cell"].tolist() == cells.obs_names.tolist()
    assert each["mse"].mean() == pytest.approx(found["mse_cells"])


def test_cells_that_leave_nothing_to_ask_are_refused(cells, ctx):
    class Blank:
        def reconstruct(self, cells, ctx):
            nothing = csr_matrix((cells.n_obs, 3))
            return Reconstruction("ranks", nothing, nothing, np.arange(3))

    with pytest.raises(ValueError, match="no cell has two genes"):
        GivingBack()(Blank(), cells, ctx)


def test_a_model_that_gives_nothing_back_is_not_applicable(tmp_path):
    record = execute(Trial("mean", "reconstruction", "toy", 0), tmp_path, code_version="test")
    assert record["status"] == "not_applicable"
    assert record["reason"] == "mean is an annotator, and reconstruction needs a reconstructor"
