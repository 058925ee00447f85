"""scFoundation through a checkout: a stand-in of ours always, the authors' where one is given."""

import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from tests.trainables import stub_checkouts, tiny_checkouts
from trainables import catalog
from trainables.conformance import opened
from trainables.models.scfoundation import GENES, ScFoundation
from trainables.protocols import Unavailable
from trainables.trial import Trial


@pytest.fixture(scope="module")
def cells():
    return opened(catalog.dataset("toy"))


@pytest.fixture
def stand_in(tmp_path, cells):
    """A folder with the files that are driven, and weights for them; torch alone is wanted."""
    root = tmp_path / "checkout"
    folder, genes, places = stub_checkouts.scfoundation(root, cells.var_names[10:])
    params = {"weights": str(folder), "checkout": str(root)}
    return root, params, genes, places


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """The stand-in needs torch alone."""
    import dataclasses

    home = dataclasses.replace(ScFoundation.home, packages=("torch", "numpy"))
    monkeypatch.setattr(ScFoundation, "home", home)


def by_hand(counts, places, depth):
    """One cell through the stand-in."""
    total = counts.sum()
    told = np.array([*np.log1p(counts / total * 1e4), depth, np.log10(total)])
    tokens = np.stack([told, 2 * told], axis=1) + places
    tokens = tokens[told > 0]
    genes = tokens[:-2]
    return np.concatenate([tokens[-1], tokens[-2], genes.max(axis=0), genes.mean(axis=0)])


def test_cells_go_there_and_embeddings_come_back(stand_in, cells, ctx):
    _, params, genes, places = stand_in
    some = cells[:4].copy()
    counts = some.layers["counts"].toarray()
    counts[2, 10:] = 0  # nothing that it knows
    some.layers["counts"] = csr_matrix(counts)
    embedded = catalog.model("scfoundation", params).embed(some, ctx)
    column = {name: counts[:, i].astype(float) for i, name in enumerate(cells.var_names)}
    aligned = np.stack([column.get(gene, np.zeros(4)) for gene in genes], axis=1)
    for row in (0, 1, 3):
        np.testing.assert_allclose(embedded[row], by_hand(aligned[row], places, 4.0), rtol=1e-5)
    assert not embedded[2].any()
    assert not list(ctx.scratch.glob("*.npz"))  # nothing is left behind


def test_what_is_missing_is_said_and_is_no_failure(stand_in, cells, monkeypatch, tmp_path):
    root, params, *_ = stand_in

    def outcome(**changes):
        trial = Trial("scfoundation", "clustering", "toy", 0, model_params=params | changes)
        with pytest.raises(Unavailable) as refused:
            trial.check(cells)
        return str(refused.value)

    monkeypatch.delenv("GAUNTLET_SCFOUNDATION", raising=False)
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    assert "then set GAUNTLET_SCFOUNDATION to that folder" in outcome(checkout="")
    assert "gauntlet models fetch scfoundation" in outcome(weights="01b-resolution")
    monkeypatch.setenv("GAUNTLET_SCFOUNDATION_PYTHON", str(tmp_path / "nowhere"))
    assert "GAUNTLET_SCFOUNDATION_PYTHON" in outcome()
    monkeypatch.delenv("GAUNTLET_SCFOUNDATION_PYTHON")
    (root / GENES).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "run git lfs pull there" in outcome()
    (root / "model/load.py").unlink()
    assert "lacks model/load.py" in outcome()


def test_a_process_that_fails_gives_its_last_line(stand_in, cells, ctx):
    _, params, *_ = stand_in
    with pytest.raises(RuntimeError, match=r"models\.ckpt has no 'rde'; it has: cell"):
        catalog.model("scfoundation", params | {"key": "rde"}).embed(cells[:2].copy(), ctx)


def test_the_trial_s_id_follows_the_code_that_is_driven(stand_in):
    root, params, *_ = stand_in

    def identity():
        return Trial("scfoundation", "clustering", "toy", 0, model_params=params).id

    before = identity()
    (root / "model/notes.txt").write_text("mine")
    assert identity() == before
    (root / "model/load.py").write_text(stub_checkouts.SCFOUNDATION + "\n# changed")
    assert identity() != before


def test_odd_parameters_are_refused_by_name():
    with pytest.raises(ValueError, match="no pool 'sum'; it has: all, max"):
        ScFoundation(pool="sum")
    with pytest.raises(ValueError, match="'4t' is no t, f or a"):
        ScFoundation(resolution="4t")


# ---- with the authors' code -------------------------------------------------------------------

WITHOUT_GPU = """
import runpy, sys, torch
torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_: self
sys.path.insert(0, ".")
runpy.run_path("get_embedding.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    root = tmp_path_factory.mktemp("scfoundation")
    return root, tiny_checkouts.scfoundation(root)


@pytest.mark.parametrize(("key", "version"), [("cell", "ce"), ("rde", "rde")])
@pytest.mark.parametrize("resolution", ["t4", "f1", "a5"])
def test_embeddings_are_those_of_the_authors_script(
    theirs, shared_data, ctx, tmp_path, key, version, resolution
):
    import anndata as ad

    root, params = theirs
    cells = ad.read_h5ad(shared_data / "zheng_facs_pbmc.h5ad")[:3].copy()
    counts = pd.DataFrame(cells.X.toarray(), index=cells.obs_names, columns=cells.var_names)
    known = pd.read_csv(root / GENES, sep="\t")["gene_name"]
    counts = counts.loc[:, counts.columns.isin(known)]
    counts.to_csv(tmp_path / "counts.csv")
    words = ["--task_name", "t", "--tgthighres", resolution, "--version", version]
    words += ["--data_path", str(tmp_path / "counts.csv"), "--save_path", str(tmp_path)]
    python = ScFoundation.home.python()
    subprocess.run([python, "-c", WITHOUT_GPU, *words], cwd=root / "model", check=True)
    wanted = np.load(next(tmp_path.glob("*.npy")))
    cells.layers["counts"] = csr_matrix(cells.X)
    model = catalog.model("scfoundation", params | {"key": key, "resolution": resolution})
    np.testing.assert_allclose(model.embed(cells, ctx), wanted, atol=1e-5)
