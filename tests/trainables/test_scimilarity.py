"""SCimilarity from its official layout: its arithmetic by hand, and what it refuses."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from tests.trainables import tiny_scimilarity
from trainables import catalog
from trainables.conformance import opened
from trainables.networks.scimilarity import read
from trainables.protocols import Unavailable
from trainables.trial import Trial


@pytest.fixture(scope="module")
def cells():
    return opened(catalog.dataset("toy"))


@pytest.fixture
def tiny(tmp_path, cells):
    """An encoder of some of the cells' genes backwards, and of some that they lack."""
    genes = [*list(cells.var_names[5:])[::-1], "ABSENT1", "ABSENT2"]
    folder, state = tiny_scimilarity.write(tmp_path / "model_v1.1", genes)
    return folder, state, genes


def model(folder, **params):
    return catalog.model("scimilarity", {"weights": str(folder), "least_genes": 1, **params})


def by_hand(counts, state):
    """The encoder of aligned counts, in double precision, without torch."""
    sums = counts.sum(axis=1, keepdims=True)
    x = np.log1p(np.divide(counts * 1e4, sums, out=np.zeros_like(counts), where=sums > 0))
    for i in (0, 1):
        w = {k.split(f"network.{i}.")[1]: v for k, v in state.items() if f"network.{i}." in k}
        x = x @ w["1.weight"].T + w["1.bias"]
        x = (x - w["2.running_mean"]) / np.sqrt(w["2.running_var"] + 1e-5)
        x = x * w["2.weight"] + w["2.bias"]
        x = np.where(x > 0, x, w["3.weight"] * x)
    x = x @ state["network.2.weight"].T + state["network.2.bias"]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def aligned(cells, genes):
    """Counts in the encoder's order, absent genes zero."""
    frame = cells.layers["counts"].toarray().astype(float)
    column = {name: frame[:, i] for i, name in enumerate(cells.var_names)}
    return np.stack([column.get(gene, np.zeros(len(frame))) for gene in genes], axis=1)


def test_an_embedding_is_what_the_layout_says(tiny, cells, ctx):
    folder, state, genes = tiny
    embedded = model(folder, batch=7).embed(cells, ctx)
    np.testing.assert_allclose(embedded, by_hand(aligned(cells, genes), state), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)


@pytest.mark.skipif(find_spec("scimilarity") is None, reason="scimilarity is not installed")
def test_the_authors_class_says_the_same(tiny, cells):
    from scimilarity.nn_models import Encoder  # pyright: ignore[reportMissingImports]

    folder, _, genes = tiny
    theirs = Encoder(len(genes), latent_dim=5, hidden_dim=[8, 6])
    theirs.load_state(str(folder / "encoder.ckpt"))
    rows = torch.rand(9, len(genes))
    with torch.inference_mode():
        wanted = theirs.eval()(rows)
        torch.testing.assert_close(read(folder)[0](rows), wanted, atol=1e-6, rtol=0)


def test_a_cell_without_a_known_gene_has_an_embedding_too(tiny, cells, ctx):
    folder, *_ = tiny
    some = cells[:3].copy()
    counts = some.layers["counts"].toarray()
    counts[1, 5:] = 0
    some.layers["counts"] = csr_matrix(counts)
    embedded = model(folder).embed(some, ctx)
    assert np.isfinite(embedded).all()
    alone = model(folder).embed(cells[:1], ctx)[0]
    np.testing.assert_allclose(embedded[0], alone, atol=1e-6)


def test_nan_answers_of_finite_weights_say_where(tiny, cells, ctx):
    folder, *_ = tiny
    held = torch.load(folder / "encoder.ckpt", weights_only=True)
    weight = held["state_dict"]["network.2.weight"]
    held["state_dict"]["network.2.weight"] = torch.full_like(weight, 3e38)
    torch.save(held, folder / "encoder.ckpt")
    with pytest.raises(ValueError, match=r"scimilarity gives NaN .* of 240 cells .* in float32"):
        model(folder).embed(cells, ctx)


def test_the_trial_s_id_follows_what_is_read_and_nothing_else(tiny):
    folder, *_ = tiny

    def identity():
        return Trial(
            "scimilarity", "clustering", "toy", 0, model_params={"weights": str(folder)}
        ).id

    before = identity()
    (folder / "cellsearch").mkdir()
    (folder / "cellsearch" / "index.bin").write_bytes(b"much")
    assert identity() == before
    genes = (folder / "gene_order.tsv").read_text().split()
    (folder / "gene_order.tsv").write_text("\n".join(genes[::-1]))
    assert identity() != before


def test_what_does_not_fit_is_refused_in_a_sentence(tiny, cells, ctx, tmp_path):
    folder, *_ = tiny
    with pytest.raises(ValueError, match=r"scimilarity knows \d+ of \d+ genes .* wants 5,000"):
        catalog.model("scimilarity", {"weights": str(folder)}).check(cells)
    with pytest.raises(ValueError, match="there are no weights at"):
        model(tmp_path / "nowhere").check(cells)
    (folder / "gene_order.tsv").write_text("A\nB")
    with pytest.raises(ValueError, match=r"gene_order\.tsv beside it names 2"):
        read(folder)
    torch.save({"state_dict": {"decoder.weight": torch.ones(2, 2)}}, folder / "encoder.ckpt")
    with pytest.raises(ValueError, match="holds no encoder of SCimilarity"):
        read(folder)


def test_weights_that_are_not_here_are_no_failure(cells, monkeypatch, tmp_path):
    monkeypatch.setenv("GAUNTLET_WEIGHTS", str(tmp_path))
    with pytest.raises(Unavailable, match="models fetch scimilarity"):
        Trial("scimilarity", "clustering", "toy", 0).check(cells)


def test_the_command_takes_checks_and_lists_the_weights(gauntlet, tmp_path, tiny):
    folder, *_ = tiny
    home = {"GAUNTLET_WEIGHTS": str(tmp_path / "weights")}
    words = [w for name in ("encoder.ckpt", "gene_order.tsv") for w in ("--from", folder / name)]
    gauntlet("models", "fetch", "scimilarity", *words, **home)
    told = json.loads(gauntlet("models", "check", "scimilarity", "--json", **home).stdout)
    assert {row["fate"] for row in told["keys"]} == {"loaded"}
    listed = json.loads(gauntlet("list", "models", "--json", **home).stdout)["models"]
    facts = next(each for each in listed if each["name"] == "scimilarity")
    assert facts["weights"] == "v1.1 (here)"
    assert facts["offers"] == "Embedder"
