"""`gauntlet models` from the outside: the way to weights, and the fate of every key."""

import contextlib
import functools
import gzip
import json
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

from tests.trainables import tiny_weights
from trainables.networks.scgpt import Architecture
from trainables.networks.scgpt_checkpoint import build, save
from trainables.official_files import GENEFORMER_REVISION, OFFICIAL, verdict


@pytest.fixture
def made(tmp_path):
    """A small checkpoint in the official layout, as a browser might have saved it."""
    genes = [f"GENE{i}" for i in range(9)]
    vocabulary = {token: i for i, token in enumerate([*genes, "<pad>", "<cls>", "<eoc>"])}
    shape = Architecture(tokens=12, pad=9, width=8, heads=2, hidden=8, layers=1)
    save(build(shape), vocabulary, 51, 1200, tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def models(gauntlet, tmp_path):
    def run(*words, expect=0):
        home = str(tmp_path / "weights")
        return gauntlet("models", *words, expect=expect, GAUNTLET_WEIGHTS=home, COLUMNS="200")

    return run


def test_absent_weights_come_with_exact_instructions(models):
    said = models("fetch", "scgpt", "--variant", "blood", expect=2).stderr
    assert "1kkug5C7NjvXIwQGGaGoqXTk_Lb_pDrBU" in said
    assert "best_model.pt, args.json, vocab.json" in said
    assert "gauntlet models fetch scgpt --variant blood --from FILE" in said
    assert "by hand" in models("check", "scgpt", expect=2).stderr


def test_unknown_names_are_named(models):
    assert "human, blood, kidney" in models("fetch", "scgpt", "--variant", "x", expect=2).stderr
    assert "no published weights" in models("fetch", "pca", expect=2).stderr


def test_a_zip_from_the_browser_is_taken_and_every_key_s_fate_told(models, made, tmp_path):
    with zipfile.ZipFile(tmp_path / "scGPT_human.zip", "w") as box:
        for path in made.iterdir():
            box.write(path, f"scGPT_human/{path.name}")
    models("fetch", "scgpt", "--from", tmp_path / "scGPT_human.zip")
    told = json.loads(models("check", "scgpt", "--json").stdout)
    fates = {row["key"]: row["fate"] for row in told["keys"]}
    fused = "transformer_encoder.layers.0.self_attn.Wqkv.weight"
    assert fates[fused] == f"loaded as {fused.replace('Wqkv.', 'in_proj_')}"
    assert fates["cls_decoder.out_layer.bias"] == "starts anew"
    assert set(told["sha256"]) == {"best_model.pt", "args.json", "vocab.json"}
    assert "every key is accounted for" in models("check", "scgpt").stdout


def test_weights_that_changed_since_they_were_first_seen_fail_the_check(models, made, tmp_path):
    words = [word for name in made.iterdir() for word in ("--from", name)]
    models("fetch", "scgpt", *words)
    place = tmp_path / "weights" / "scgpt" / "human"
    args = json.loads((place / "args.json").read_text())
    (place / "args.json").write_text(json.dumps(args | {"dropout": 0.5}))
    said = models("check", "scgpt", expect=3).stderr
    assert "args.json has sha256" in said
    assert "the file changed" in said


def test_a_file_that_fits_nowhere_fails_the_check(models, made):
    vocabulary = json.loads((made / "vocab.json").read_text())
    (made / "vocab.json").write_text(json.dumps(vocabulary | {"ONE TOO MANY": 12}))
    said = models("check", "scgpt", "--weights", made, expect=3).stderr
    assert "13 tokens and the weights 12" in said
    assert "no folder" in models("check", "scgpt", "--weights", "nowhere", expect=2).stderr


def test_what_is_saved_is_the_authors_own_layout(made):
    state = torch.load(made / "best_model.pt", weights_only=True)
    assert not [key for key in state if "in_proj" in key or key.startswith("cls_decoder")]
    assert state["transformer_encoder.layers.0.self_attn.Wqkv.weight"].shape == (24, 8)
    args = json.loads((made / "args.json").read_text())
    assert (args["pad_value"], args["mask_value"], args["n_bins"]) == (-2, -1, 51)
    assert np.isclose(args["dropout"], 0.2)


def test_geneformer_s_weights_are_downloaded_and_pass_the_check(models, tmp_path, monkeypatch):
    hub = tmp_path / f"hub/ctheodoris/Geneformer/resolve/{GENEFORMER_REVISION}"
    for path in geneformer(tmp_path / "made"):
        named = "geneformer/gene_dictionaries_30m" if path.suffix == ".pkl" else "Geneformer-V1-10M"
        (hub / named).mkdir(parents=True, exist_ok=True)
        path.rename(hub / named / path.name)
    with served(tmp_path / "hub") as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        found = json.loads(models("fetch", "geneformer", "--json").stdout)
        said = models("fetch", "geneformer", "--variant", "v2-104m", expect=2).stderr
    assert len(found["sha256"]) == 6
    kept = tmp_path / "weights/geneformer"
    ledger = json.loads((kept / "v1-10m.hashes.json").read_text())
    assert {entry["revision"] for entry in ledger.values()} == {GENEFORMER_REVISION}
    assert {path.name for path in (kept / "v1-10m").iterdir()} == set(found["sha256"])
    told = json.loads(models("check", "geneformer", "--json").stdout)
    fates = {row["key"]: row["fate"] for row in told["keys"]}
    assert fates["bert.embeddings.word_embeddings.weight"] == "loaded"
    assert "every key is accounted for" in models("check", "geneformer").stdout
    place = f"{url}/ctheodoris/Geneformer/resolve/{GENEFORMER_REVISION}"
    assert f"{place}/Geneformer-V2-104M/config.json (404)" in said
    assert "token_dictionary_gc104M.pkl" in said
    assert "gauntlet models fetch geneformer --variant v2-104m --from FILE" in said
    assert "get them with: gauntlet models fetch geneformer --variant v2-316m" in (
        models("check", "geneformer", "--variant", "v2-316m", expect=2).stderr
    )
    (kept / "v1-10m/config.json").unlink()  # and when it comes again, it is another
    (hub / "Geneformer-V1-10M/config.json").write_text("{}")
    with served(tmp_path / "hub") as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        said = models("fetch", "geneformer", expect=2).stderr
    assert "config.json has sha256" in said
    assert not (kept / "v1-10m/config.json").exists()


def test_the_mapping_of_retired_ids_may_be_absent(models, tmp_path, monkeypatch):
    hub = tmp_path / f"hub/ctheodoris/Geneformer/resolve/{GENEFORMER_REVISION}"
    for path in geneformer(tmp_path / "made"):
        if "mapping" in path.name:
            continue
        named = "geneformer/gene_dictionaries_30m" if path.suffix == ".pkl" else "Geneformer-V1-10M"
        (hub / named).mkdir(parents=True, exist_ok=True)
        path.rename(hub / named / path.name)
    with served(tmp_path / "hub") as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        said = models("fetch", "geneformer").stderr
    assert "ensembl_mapping_dict_gc30M.pkl could not be downloaded" in said
    assert "every key is accounted for" in models("check", "geneformer").stdout


def test_the_check_compares_files_with_the_official_ones(models, made):
    words = [word for name in made.iterdir() for word in ("--from", name)]
    models("fetch", "scgpt", *words)
    said = models("check", "scgpt").stdout.replace("\n", " ")
    official = OFFICIAL["scgpt", "human"]["vocab.json"]
    assert f"not the official file, whose sha256 begins with {official[:12]}" in said
    told = json.loads(models("check", "scgpt", "--weights", made, "--json").stdout)
    assert set(told["official"]) == {"best_model.pt", "args.json", "vocab.json"}
    other = models("fetch", "scgpt", "--variant", "blood", *words)
    assert "complete" in other.stdout
    assert (
        json.loads(models("check", "scgpt", "--variant", "blood", "--json").stdout)["official"]
        == {}
    )


def test_an_official_file_is_called_that():
    for (model, variant), files in OFFICIAL.items():
        for name, sha256 in files.items():
            assert verdict(model, variant, name, sha256) == "the official file"
            assert len(sha256) == 64
    assert verdict("scgpt", "blood", "vocab.json", "0" * 64) == ""


def test_scbert_s_way_names_its_files_and_they_pass_the_check(models, tmp_path):
    from trainables.networks.performer import ScBERTNetwork, Size

    said = models("fetch", "scbert", expect=2).stderr
    assert "drive.weixin.qq.com" in said
    assert "download panglao_pretrain.pth, panglao_10000.h5ad or" in said
    network = ScBERTNetwork(Size(5, dim=8, depth=2, heads=2, dim_head=4, ff_mult=3))
    genes = [f"GENE{i}" for i in range(5)]
    checkpoint, cells = tmp_path / "panglao_pretrain.pth", tmp_path / "panglao_10000.h5ad"
    torch.save({"epoch": 1, "model_state_dict": network.state_dict()}, checkpoint)
    ad.AnnData(np.ones((2, 5), dtype=np.float32), var=pd.DataFrame(index=genes)).write_h5ad(cells)
    packed = tmp_path / "panglao_10000.h5ad.gz"
    packed.write_bytes(gzip.compress(cells.read_bytes()))
    models("fetch", "scbert", "--from", checkpoint, "--from", packed)
    told = json.loads(models("check", "scbert", "--json").stdout)
    assert set(told["sha256"]) == {"panglao_pretrain.pth", "panglao_10000.h5ad"}
    fates = {row["key"]: row["fate"] for row in told["keys"]}
    assert fates["pos_emb.emb.weight"] == "loaded"
    assert len(fates) == len(network.state_dict())


@contextlib.contextmanager
def served(folder):
    """A folder at an address of this machine."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def geneformer(folder):
    """A small checkpoint by the names that files have at Hugging Face."""
    from transformers import BertConfig

    from trainables.genes.dictionaries import NAMES, Dictionaries
    from trainables.networks.geneformer import built, save

    tokens = {token: i for i, token in enumerate(["<pad>", "<mask>", "ENSG1", "ENSG2"])}
    shape = BertConfig(
        vocab_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    medians, mapping = {"ENSG1": 1.0, "ENSG2": 2.0}, {"ENSG9": "ENSG1"}
    save(built(shape, 0), Dictionaries(tokens, medians, mapping=mapping), folder)
    for name in NAMES.values():
        (folder / f"{name}.pkl").rename(folder / f"{name}_gc30M.pkl")
    return sorted(folder.iterdir())


def test_a_listing_says_whose_a_model_is_and_whether_its_weights_are_here(gauntlet, tmp_path):
    here = tmp_path / "scgpt" / "human"
    here.mkdir(parents=True)
    for name in ("best_model.pt", "args.json", "vocab.json"):
        (here / name).touch()
    said = gauntlet("list", "models", "--json", GAUNTLET_WEIGHTS=str(tmp_path)).stdout
    models = {facts["name"]: facts for facts in json.loads(said)["models"]}
    variants = "human (here), blood (absent), kidney (absent), vocabulary (absent)"
    assert models["scgpt"]["weights"] == variants
    assert models["scgpt"]["citation"].startswith("Cui et al. 2024")
    assert models["scgpt"]["licence"] == "MIT"
    assert models["pca"]["weights"] == ""
    assert "human (here)" in gauntlet("show", "scgpt", GAUNTLET_WEIGHTS=str(tmp_path)).stdout


def test_what_is_missing_of_models_in_a_checkout_is_said(gauntlet, tmp_path):
    none = {"GAUNTLET_WEIGHTS": str(tmp_path), "GAUNTLET_SCFOUNDATION": str(tmp_path / "nowhere")}
    found = json.loads(gauntlet("doctor", "--storage", tmp_path, "--json", **none).stdout)
    said = {row["check"]: row for row in found}
    assert said["model scfoundation"]["found"] == "01b-resolution (absent), checkout (absent)"
    assert "lacks model/load.py" in said["model scfoundation"]["advice"]
    assert "gauntlet models fetch scimilarity" in said["model scimilarity"]["advice"]
    assert "model pca" not in said
    listed = json.loads(gauntlet("list", "models", "--json", **none).stdout)["models"]
    facts = {row["name"]: row for row in listed}
    assert facts["genecompass"]["weights"] == "base (absent), small (absent), checkout (absent)"
    assert facts["genecompass"]["licence"] == "none stated"
    assert "non-commercial" in facts["scfoundation"]["licence"]


def test_a_sweep_over_models_that_are_not_here_can_be_planned(gauntlet, tmp_path):
    (tmp_path / "doors.py").write_text(DOORS)
    planned = gauntlet("plan", tmp_path / "doors.py", "--storage", tmp_path).stdout
    for model in ("scimilarity", "scfoundation", "genecompass", "scimilarity+cached"):
        assert model in planned
    assert "4: 0 known, 4 to run" in planned.replace("\n", " ")


DOORS = """
from orchestrator.sweep import Sweep

SWEEP = Sweep(
    title="Do other models keep cell types together?",
    task="clustering",
    datasets=["toy"],
    seeds=[0],
    models={"scimilarity": {}, "scimilarity+cached": {}, "scfoundation": {}, "genecompass": {}},
)
"""


def test_gene2vec_positions_take_their_genes_from_the_weights(models, tmp_path):
    tiny_weights.scbert(tmp_path / "saved", ["A", "B", "C"])
    np.save(tmp_path / "gene2vec_16906.npy", np.ones((3, 200), np.float32))
    given = ("--variant", "gene2vec", "--from", tmp_path / "gene2vec_16906.npy")
    assert "panglao_10000.h5ad" in models("fetch", "scbert", *given, expect=2).stderr
    files = [w for path in (tmp_path / "saved").iterdir() for w in ("--from", path)]
    models("fetch", "scbert", *files)
    models("fetch", "scbert", "--variant", "gene2vec")
    told = json.loads(models("check", "scbert", "--variant", "gene2vec", "--json").stdout)
    assert told["keys"] == [{"key": "positions", "shape": "(3, 200)", "fate": "loaded"}]


def test_a_page_saved_in_place_of_weights_is_not_taken(models, made):
    (made / "best_model.pt").write_text("<!DOCTYPE html><html>please sign in</html>")
    words = [w for path in made.iterdir() for w in ("--from", path)]
    assert "is a web page" in models("fetch", "scgpt", *words, expect=2).stderr
