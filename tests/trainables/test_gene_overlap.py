"""Which genes a model knows: too few are refused, empty cells are counted, columns are added."""

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from orchestrator.execute import execute
from orchestrator.ready import ready
from orchestrator.storage import store
from tests.trainables import stub_checkouts, tiny_weights
from tests.trainables.conftest import three_types, written
from trainables import catalog
from trainables.cells import new_cells, open_cells, prepare, rows
from trainables.genes.overlap import Overlap
from trainables.genes.panel import Panel
from trainables.genes.summed import summed
from trainables.models.genecompass import GeneCompass
from trainables.models.scfoundation import ScFoundation
from trainables.trial import Trial
from trainables.userdata import UserFile

MODELS = ("scgpt", "geneformer", "scbert", "scfoundation", "genecompass")
SYMBOLS = ("scgpt", "scbert", "scfoundation")
N_GENES = 120


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """Stand-ins of checkouts need torch alone."""
    for cls, packages in ((ScFoundation, ("torch", "numpy")), (GeneCompass, ("torch",))):
        home = dataclasses.replace(cls.home, packages=packages)
        monkeypatch.setattr(cls, "home", home)


def params_of(model, folder, genes):
    """Weights of a model that knows these genes, as parameters of a trial."""
    place = folder / model
    if model == "scfoundation":
        weights, *_ = stub_checkouts.scfoundation(place, genes)
        return {"weights": str(weights), "checkout": str(place)}
    if model == "genecompass":
        weights, _ = stub_checkouts.genecompass(place, genes)
        return {"weights": str(weights), "checkout": str(place)}
    getattr(tiny_weights, model)(place, list(genes))
    return {"weights": f"{place}"} | (tiny_weights.SCBERT if model == "scbert" else {})


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    from trainables.store import Store

    return open_cells(prepare(catalog.dataset("toy"), Store(tmp_path_factory.mktemp("toy"))))


# ---- least overlap ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_knows_less_than_half_of_the_genes_is_refused(model, toy, tmp_path):
    half = N_GENES // 2
    few = params_of(model, tmp_path / "few", toy.var_names[: half - 1])

    def trial(params):
        return Trial(model, "clustering", "toy", 0, model_params=params)

    with pytest.raises(ValueError, match="least_overlap") as refused:
        trial(few).check(toy)
    said = str(refused.value)
    assert f"{model} knows {half - 1} of the {N_GENES} genes" in said
    assert f"not {toy.var_names[half - 1]}, " in said
    assert f"least_overlap=0.5 asks for {half}" in said
    assert "name genes by" in said
    lower = few | {"least_overlap": 0.1}
    trial(lower).check(toy)
    assert trial(lower).id == trial(few).id  # it decides no result
    trial(params_of(model, tmp_path / "enough", toy.var_names[:half])).check(toy)
    with pytest.raises(ValueError, match="between 0 and 1"):
        catalog.model(model, few | {"least_overlap": 50})


def test_the_command_refuses_before_anything_runs(toy, tmp_path, gauntlet):
    params = params_of("geneformer", tmp_path, toy.var_names[:1])
    sweep = tmp_path / "one.py"
    sweep.write_text(
        "from orchestrator import Sweep\n"
        f"SWEEP = Sweep(title='t', task='clustering', datasets=['toy'], seeds=[0],"
        f" models={{'geneformer': {params!r}}})\n"
    )
    done = gauntlet("run", sweep, "--storage", tmp_path / "runs", expect=2)
    assert "geneformer knows 1 of the 120 genes" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").glob("records/*/*.json"))


def test_a_genome_with_many_empty_columns_is_not_refused(toy):
    counts = toy.layers["counts"].toarray()
    counts[:, 60:] = 0
    cells = new_cells(
        X=csr_matrix(np.log1p(counts)), layers={"counts": csr_matrix(counts)}, obs=toy.obs,
        var=toy.var, uns=toy.uns,
    )  # fmt: skip
    found = Overlap.of(cells, np.arange(45))
    assert (found.genes, found.known) == (N_GENES, 45)
    assert found.expressed == (counts > 0).any(axis=0).sum() < 60
    found.refuse("scgpt", 0.5, "symbol")
    with pytest.raises(ValueError, match="knows 20 of the 120 genes"):
        Overlap.of(cells, np.arange(20)).refuse("scgpt", 0.5, "symbol")


def test_counts_over_a_file_are_made_once_and_over_memory_each_time(toy, monkeypatch):
    made = []
    counted = Overlap.counted
    monkeypatch.setattr(Overlap, "counted", lambda *how: made.append(how) or counted(*how))
    columns = np.arange(7, 99)
    assert Overlap.of(toy, columns) == Overlap.of(toy, columns)
    assert len(made) == 1
    Overlap.of(toy, columns[1:])
    assert len(made) == 2
    own = toy.copy()
    before = Overlap.of(own, columns)
    own.layers["counts"].data[:] = 0
    assert Overlap.of(own, columns).expressed < before.expressed
    assert len(made) == 4


# ---- cells without a known gene -----------------------------------------------------------------


def with_empty_cells(folder, n_empty, known=40):
    """A user's file whose first cells express only the genes that the models do not know."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (60, 60)).astype(np.float32) + np.eye(60, dtype=np.float32)
    counts[:n_empty, :known] = 0
    obs = pd.DataFrame({"cell_type": three_types(60)}, index=[f"c{i}" for i in range(60)])
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(60)])
    path = written(ad.AnnData(X=csr_matrix(counts), obs=obs, var=var), folder / "mine.h5ad")
    return UserFile(path), var.index[:known]


@pytest.mark.parametrize("model", [*MODELS, "scimilarity"])
def test_cells_without_a_known_gene_are_counted_in_the_record(model, tmp_path):
    source, known = with_empty_cells(tmp_path, 3)
    storage = tmp_path / "runs"
    cells = open_cells(prepare(source, store(storage)))
    params = params_of(model, tmp_path, known)
    if model == "scimilarity":
        params["least_genes"] = 1
    trial = Trial(model, "clustering", "mine", 0, model_params=params, dataset_sha256=source.sha256)
    record = execute(trial, storage, code_version="test")
    assert record["status"] == "ok", record["reason"]
    assert record["notes"] == {
        model: {
            "genes": 60,
            "genes_known": 40,
            "genes_expressed": 60,
            "genes_expressed_and_known": 40,
            "cells_without_known_genes": 3,
        }
    }
    assert (record["device"], record["precision"]) == ("cpu", "float32")
    kernel = {"scbert": "performer", "scfoundation": "authors", "genecompass": "authors"}
    other = "" if model == "scimilarity" else "flash"
    assert record["attention"] == kernel.get(model, other)
    log = (storage / "artifacts" / trial.id / "log.txt").read_text()
    assert "3 of 60 cells hold none of them" in log
    alone = catalog.model(model, params)
    embedding = embed(alone, rows(cells, np.arange(60), labels=False), tmp_path)
    assert np.isfinite(embedding).all()
    np.testing.assert_allclose(embedding[0], embedding[1], atol=1e-6)
    assert (embedding[3] != embedding[4]).any()
    if model in ("scfoundation", "genecompass"):
        assert not embedding[:3].any()


def test_the_driver_names_cells_without_a_known_gene_once(tmp_path):
    source, known = with_empty_cells(tmp_path, 3)
    params = params_of("scgpt", tmp_path, known)
    trials = [
        Trial("scgpt", "clustering", "mine", seed, 1.0, params, {}, source.sha256)
        for seed in (0, 1)
    ]
    planned: Any = SimpleNamespace(
        storage=tmp_path / "runs",
        sources=lambda: {"mine": source},
        to_run=trials,
        longest_first=lambda: trials,
    )
    told = []
    assert ready(planned, told.append) == trials
    (said,) = [line for line in told if "scgpt" in line]
    assert "3 of 60 cells hold none of them" in said


def embed(model, cells, folder):
    from trainables.protocols import Context
    from trainables.store import Store

    return model.embed(cells, Context(seed=0, scratch=folder, store=Store(folder / "s")))


@pytest.mark.parametrize("model", MODELS)
def test_cells_that_are_all_empty_are_refused(model, tmp_path):
    source, known = with_empty_cells(tmp_path, 60)
    params = params_of(model, tmp_path, known) | {"least_overlap": 0}
    trial = Trial(model, "clustering", "mine", 0, model_params=params, dataset_sha256=source.sha256)
    cells = open_cells(prepare(source, store(tmp_path / "runs")))
    with pytest.raises(ValueError, match="none of the 60 cells expresses a gene"):
        trial.check(cells)


# ---- columns of one gene ------------------------------------------------------------------------


def split_in_two(cells, column, names, var=None):
    """Cells whose counts of one gene stand in two columns, the second at the end."""
    counts = cells.layers["counts"].toarray()
    part = np.floor(counts[:, column] / 2)
    twice = np.column_stack([counts, counts[:, column] - part])
    twice[:, column] = part
    x = np.log1p(twice / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    var = pd.DataFrame(index=pd.Index(names)) if var is None else var
    layers = {"counts": csr_matrix(twice)}
    return new_cells(X=csr_matrix(x), layers=layers, obs=cells.obs, var=var, uns=cells.uns)


@pytest.mark.parametrize("model", [*MODELS, "scimilarity"])
def test_two_columns_of_one_gene_count_as_their_sum(model, toy, tmp_path):
    cells = rows(toy, np.arange(30), labels=False)
    whole = cells.X[:, 3].toarray().max()
    assert whole > 0
    params = params_of(model, tmp_path, toy.var_names)
    if model == "scimilarity":
        params["least_genes"] = 1
    if model == "scbert":
        params["rescale"] = False
    built = catalog.model(model, params)
    twice = split_in_two(cells, 3, [*toy.var_names, toy.var_names[3]])
    one = embed(built, cells, tmp_path / "one")
    near = 1e-3 if model == "scgpt" else 1e-6  # a rounded sum may break a tie of scGPT's bins
    np.testing.assert_allclose(embed(built, twice, tmp_path / "two"), one, rtol=1e-5, atol=near)


def test_sums_leave_all_other_values_bit_for_bit(toy):
    twice = split_in_two(toy, 3, [*toy.var_names, toy.var_names[3]])
    tokens = np.r_[np.arange(N_GENES), 3]
    added = summed(twice, tokens)
    np.testing.assert_array_equal(added.layers["counts"].toarray()[:, 3],
                                  toy.layers["counts"].toarray()[:, 3])  # fmt: skip
    np.testing.assert_array_equal(np.delete(added.X.toarray(), [3, N_GENES], axis=1),
                                  np.delete(twice.X.toarray(), [3, N_GENES], axis=1))  # fmt: skip
    np.testing.assert_allclose(added.X.toarray()[:, 3], toy.X.toarray()[:, 3], rtol=1e-5)
    assert not added.X[:, N_GENES].nnz
    assert summed(added, np.r_[np.arange(N_GENES), -1]) is added
    panel = Panel(tuple(toy.var_names))
    assert (panel.tokens(added, rescale=False) != panel.tokens(toy, rescale=False)).nnz == 0


def test_geneformer_cuts_versions_maps_retired_ids_and_adds_columns(toy, tmp_path, capsys):
    folder = tmp_path / "gf"
    tiny_weights.geneformer(folder, toy.var_names)
    retired = {"ENSG99999999999": "ENSG00000000003"}
    (folder / "ensembl_mapping_dict_gc30M.pkl").write_bytes(pickle.dumps(retired))
    model = catalog.model("geneformer", {"weights": str(folder)})
    cells = rows(toy, np.arange(20), labels=False)
    wanted = embed(model, cells, tmp_path / "one")
    ids = [f"ENSG{i:011}.{i % 9 + 1}" for i in range(N_GENES)]
    ids[5] += "_PAR_Y"
    ids[6] = "ENSG00000000006_PAR_Y"
    named = [f"no-name-{i}" for i in range(N_GENES + 1)]
    var = pd.DataFrame({"ensembl_id": [*ids, "ENSG99999999999.2"]}, index=pd.Index(named))
    capsys.readouterr()
    twice = split_in_two(cells, 3, named, var)
    np.testing.assert_allclose(embed(model, twice, tmp_path / "two"), wanted, rtol=1e-5)
    said = capsys.readouterr().out
    assert "121 of 121 genes have a token" in said
    assert "1 share theirs with another and are added" in said
    assert "1 retired ids were mapped" in said
    (folder / "ensembl_mapping_dict_gc30M.pkl").unlink()
    embed(model, twice, tmp_path / "three")
    assert "without the file ensembl_mapping_dict retired ids are not mapped" in (
        capsys.readouterr().out
    )


def test_scgpt_reaches_a_symbol_of_several_genes_by_its_id(toy, tmp_path):
    symbols = list(toy.var_names)
    vocabulary = [*symbols[:-2], "TWICE_ENSG00000000001", "TWICE_ENSG00000000002"]
    tiny_weights.scgpt(tmp_path / "w", vocabulary)
    tiny_weights.scgpt(tmp_path / "plain", symbols)
    cells = rows(toy, np.arange(20), labels=False)
    ids = [""] * (N_GENES - 2) + ["ENSG00000000001", "ENSG00000000002"]
    full = pd.Index([*symbols[:-2], "ENSG00000000001.7", "ENSG00000000002.3"])
    for var in (
        pd.DataFrame({"ensembl_id": ids}, index=pd.Index([*symbols[:-2], "TWICE", "TWICE-1"])),
        pd.DataFrame(index=full),
        pd.DataFrame(index=pd.Index(vocabulary)),
    ):
        renamed = new_cells(X=cells.X, layers=cells.layers, obs=cells.obs, var=var, uns=cells.uns)
        model = catalog.model("scgpt", {"weights": f"{tmp_path / 'w'}"})
        found = model.gene_columns(renamed, None)
        assert len(found) == N_GENES
        plain = catalog.model("scgpt", {"weights": f"{tmp_path / 'plain'}"})
        np.testing.assert_array_equal(
            embed(model, renamed, tmp_path / "a"), embed(plain, cells, tmp_path / "b")
        )


def test_scgpt_adds_both_copies_of_a_gene_of_the_y_chromosome(toy, tmp_path):
    symbols = list(toy.var_names)
    tiny_weights.scgpt(tmp_path / "w", [*symbols[:-1], "CD99_ENSG00000002586"])
    cells = rows(toy, np.arange(20), labels=False)
    model = catalog.model("scgpt", {"weights": f"{tmp_path / 'w'}"})

    def renamed(some, *names):
        var = pd.DataFrame(index=pd.Index([*symbols[:-1], *names]))
        return new_cells(X=some.X, layers=some.layers, obs=some.obs, var=var, uns=some.uns)

    one = renamed(cells, "ENSG00000002586.20")
    twice = split_in_two(cells, N_GENES - 1, [*symbols, "second"])
    two = renamed(twice, "ENSG00000002586.20", "ENSG00000002586.20_PAR_Y")
    assert len(model.gene_columns(two, None)) == N_GENES + 1
    np.testing.assert_allclose(
        embed(model, two, tmp_path / "a"), embed(model, one, tmp_path / "b"), atol=1e-3
    )  # a sum of logarithms is rounded, which may break a tie of bins


@pytest.mark.parametrize("model", SYMBOLS)
def test_a_symbol_with_a_dot_is_another_gene_than_its_neighbour(model, toy, tmp_path):
    names = [*toy.var_names[:-2], "RP11-206L10.2", "RP11-206L10.3"]
    params = params_of(model, tmp_path, names[:-1])
    var = pd.DataFrame(index=pd.Index(names))
    cells = new_cells(X=toy.X, layers=dict(toy.layers), obs=toy.obs, var=var, uns=toy.uns)
    found = catalog.model(model, params).gene_columns(cells, None)
    assert found.tolist() == list(range(N_GENES - 1))
