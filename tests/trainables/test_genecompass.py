"""GeneCompass through a checkout: a stand-in of ours always, the authors' where one is given."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables import stub_checkouts, tiny_checkouts
from tests.trainables.tiny_checkouts import MEDIANS
from trainables import catalog
from trainables.conformance import opened
from trainables.models.genecompass import GeneCompass
from trainables.protocols import Unavailable
from trainables.trial import Trial

REAL = GeneCompass.home


@pytest.fixture(scope="module")
def cells():
    return opened(catalog.dataset("toy"))


@pytest.fixture
def stand_in(tmp_path, cells, monkeypatch):
    """A folder with the files that are driven, and weights for them; torch alone is wanted."""
    root = tmp_path / "checkout"
    weights, known = stub_checkouts.genecompass(root, cells.var_names[5:])
    monkeypatch.setattr(GeneCompass, "home", dataclasses.replace(REAL, packages=("torch",)))
    return root, {"weights": str(weights), "checkout": str(root)}, known


def by_hand(counts, names, token, median, most=2048):
    """preprocess.py of one cell: ids and values, the highest first."""
    told = [
        (np.log2(1 + float(count) / median[name]), token[name])
        for name, count in zip(names, counts, strict=True)
        if count > 0 and name in token
    ]
    told.sort(key=lambda pair: -pair[0])
    return [one for _, one in told[:most]], [value for value, _ in told[:most]]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_cells_go_there_and_embeddings_come_back(stand_in, cells, ctx, pooling):
    _, params, (token, median) = stand_in
    model = catalog.model("genecompass", params | {"pooling": pooling, "batch": 3})
    embedded = model.embed(cells[:7].copy(), ctx)
    for row, counts in zip(embedded, cells[:7].layers["counts"].toarray(), strict=True):
        ids, values = by_hand(counts, cells.var_names, token, median)
        wanted = [0, sum(values)] if pooling == "cls" else [np.mean(ids), np.mean(values)]
        np.testing.assert_allclose(row, wanted, rtol=1e-5)


def test_tokens_are_in_their_order_with_their_values(stand_in, cells):
    root, params, (token, median) = stand_in
    model = catalog.model("genecompass", params)
    told = model.tokens(cells, model.found(cells, root))
    for row, counts in enumerate(cells.layers["counts"].toarray()):
        ids, values = by_hand(counts, cells.var_names, token, median)
        assert told["ids"][row, : told["lengths"][row]].tolist() == ids
        np.testing.assert_allclose(told["values"][row, : len(values)], values, rtol=1e-6)


def test_what_is_missing_is_said_and_is_no_failure(stand_in, cells, monkeypatch, tmp_path):
    root, params, _ = stand_in

    def outcome(**changes):
        trial = Trial("genecompass", "clustering", "toy", 0, model_params=params | changes)
        with pytest.raises(Unavailable) as refused:
            trial.check(cells)
        return str(refused.value)

    monkeypatch.delenv("GAUNTLET_GENECOMPASS", raising=False)
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    assert "then set GAUNTLET_GENECOMPASS to that folder" in outcome(checkout="")
    assert "gauntlet models fetch genecompass" in outcome(weights="base")
    monkeypatch.setattr(
        GeneCompass, "home", dataclasses.replace(REAL, packages=("torch=0.", "no-such-thing"))
    )
    assert "lacks torch 0.* (it has" in outcome()
    monkeypatch.setattr(GeneCompass, "home", dataclasses.replace(REAL, packages=("torch",)))
    (root / MEDIANS).unlink()
    assert "lacks the genes' medians" in outcome()


def test_weights_that_do_not_fit_or_hold_code_are_refused(stand_in, cells, ctx, tmp_path):
    _, params, _ = stand_in
    shutil.copytree(params["weights"], tmp_path / "unfit")
    model = catalog.model("genecompass", params | {"weights": str(tmp_path / "unfit")})
    with pytest.raises(RuntimeError, match=r"missing keys: \['bert\.lost'\]"):
        model.embed(cells[:2].copy(), ctx)
    torch.save({"bert.weight": Path("code")}, tmp_path / "unfit" / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds Python code besides tensors"):
        model.embed(cells[:2].copy(), ctx)


# ---- with the authors' code -------------------------------------------------------------------

ONE_BY_ONE = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
from genecompass import BertForMaskedLM
from genecompass.utils import load_prior_embedding
names = ("promoter", "co_exp", "gene_family", "peca_grn", "homologous_gene_human2mouse")
prior = dict(zip(names, load_prior_embedding()))
model = BertForMaskedLM.from_pretrained(sys.argv[2], knowledges=prior).eval()
told, said = np.load(sys.argv[3]), []
with torch.no_grad():
    for ids, values, n in zip(told["ids"], told["values"], told["lengths"]):
        ids, values = (torch.from_numpy(x[:n])[None] for x in (ids.astype("int64"), values))
        out = model.bert.forward(input_ids=ids, values=values, species=torch.tensor([[0]]))[0]
        said.append(torch.cat([out[0, 0], out[0, 1:].mean(0)]).numpy())
np.save(sys.argv[4], np.stack(said))
"""


def test_embeddings_are_those_of_the_authors_network(cells, ctx, tmp_path):
    root = tmp_path / "checkout"
    params = tiny_checkouts.genecompass(root, list(cells.var_names[5:]))
    some = cells[:5].copy()
    model = catalog.model("genecompass", params)
    np.savez(tmp_path / "told.npz", **model.tokens(some, model.found(some, root)))
    places = [root, params["weights"], tmp_path / "told.npz", tmp_path / "said.npy"]
    subprocess.run([REAL.python, "-c", ONE_BY_ONE, *map(str, places)], check=True)
    wanted = np.load(tmp_path / "said.npy")
    np.testing.assert_allclose(model.embed(some, ctx), wanted[:, :16], atol=1e-5)
    mean = catalog.model("genecompass", params | {"pooling": "mean"})
    np.testing.assert_allclose(mean.embed(some, ctx), wanted[:, 16:], atol=1e-5)
