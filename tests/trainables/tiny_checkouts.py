"""Small weights, in the authors' layouts, for whatever checkouts a developer has."""

import dataclasses
import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainables.models.genecompass import NAMES, TOKENS, GeneCompass
from trainables.models.scfoundation import GENES, ScFoundation

MEDIANS = "scdata/dict/human_gene_median_after_filter.pickle"


def given(home, folder):
    """A folder of the checkout that the environment names; skips the test where there is none."""
    code = tuple(name for name in home.needs if name.startswith(folder))
    if lacking := dataclasses.replace(home, needs=code).missing():
        pytest.skip(lacking)
    return Path(os.environ[home.variable]) / folder


SMALL = {"hidden_dim": 16, "depth": 2, "heads": 2, "dim_head": 8}
MODEL_CONFIG = {
    **{"model": "mae_autobin", "n_class": 104, "bin_num": 5, "bin_alpha": 1.0},
    **{"pad_token_id": 103, "mask_token_id": 102},
    **{"encoder": {"module_type": "transformer", **SMALL}},
    **{"decoder": {"module_type": "performer", **SMALL}},
}
SCFOUNDATION = """
import json, sys, torch
sys.path.insert(0, sys.argv[1])
from pretrainmodels import select_model
config = json.loads(sys.argv[2])
torch.manual_seed(0)
state = select_model(config["model_config"]["mae_autobin"] | config["dataset_config"]["rnaseq"])
state = {"model." + key: value for key, value in state.state_dict().items()}
held = {"config": config, "state_dict": state}
torch.save({key: held for key in ("cell", "rde", "gene")}, sys.argv[3])
"""


def scfoundation(root, symbols=()):
    """A copy of the user's model/, which knows these symbols too, and weights of two layers."""
    shutil.copytree(given(ScFoundation.home, "model"), root / "model")
    (root / "model/models").mkdir(exist_ok=True)
    genes = pd.read_csv(root / GENES, sep="\t")
    genes["gene_name"] = [*symbols, *genes["gene_name"][len(symbols) :]]
    genes.to_csv(root / GENES, sep="\t", index=False)
    config = {
        **{"model": "mae_autobin", "model_config": {"mae_autobin": MODEL_CONFIG}},
        "dataset_config": {"rnaseq": {"seq_len": len(genes) + 2}},
    }
    words = [root / "model", json.dumps(config), root / "model/models/models.ckpt"]
    subprocess.run([ScFoundation.home.python(), "-c", SCFOUNDATION, *map(str, words)], check=True)
    return {"weights": str(root / "model/models"), "checkout": str(root)}


GENECOMPASS = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from genecompass import BertForMaskedLM
from genecompass.utils import load_prior_embedding
from transformers import BertConfig
names = ("promoter", "co_exp", "gene_family", "peca_grn", "homologous_gene_human2mouse")
prior = dict(zip(names, load_prior_embedding()))
config = BertConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=2048, pad_token_id=0, vocab_size=len(prior["promoter"]),
    use_values=True, use_promoter=True, use_co_exp=True, use_gene_family=True, use_peca_grn=True,
    use_cls_token=True, warmup_steps=1, emb_warmup_steps=1,
)
torch.manual_seed(0)
BertForMaskedLM(config, knowledges=prior).save_pretrained(sys.argv[2])
"""


def genecompass(root, symbols):
    """A copy of the user's code, prior knowledge of these symbols, and weights of two layers."""
    shutil.copytree(given(GeneCompass.home, "genecompass"), root / "genecompass")
    prior(root, symbols)
    words = [GeneCompass.home.python(), "-c", GENECOMPASS, str(root), str(root / "weights")]
    subprocess.run(words, check=True)
    return {"weights": str(root / "weights"), "checkout": str(root)}


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def prior(root, symbols):
    """What they call prior knowledge, small and random: a pickle a kind and species.

    Genes get the tokens 2, 3, ... backwards, every third one a median of its own.
    """
    human = {f"ENSG{i:011}": name for i, name in enumerate(symbols)}
    mouse = {f"ENSMUSG{i:011}": f"Gene{i}" for i in range(4)}
    tokens = {own: i for i, own in enumerate([*list(human)[::-1], *mouse], start=2)}
    dump(root / TOKENS, {"<pad>": 0, "<mask>": 1, **tokens})
    dump(root / NAMES, human | mouse)
    pairs = zip(list(mouse)[:3], list(human)[:3], strict=True)
    dump(
        root / "prior_knowledge/homologous_hm_token.pickle",
        {tokens[theirs]: tokens[ours] for theirs, ours in pairs},
    )
    draws = np.random.default_rng(0)
    for file in GeneCompass.home.needs:
        if "uman_" in file and "name" not in file.lower():
            dump(root / file, {name: draws.random(6, np.float32) for name in human.values()})
        elif "ouse_" in file and "name" not in file.lower():
            dump(root / file, {name: draws.random(6, np.float32) for name in mouse.values()})
    medians = {own: 0.5 + i for i, own in enumerate(human) if i % 3 == 0}
    dump(root / MEDIANS, medians)
    token = {name: tokens[own] for own, name in human.items()}
    return token, {name: medians.get(own, 1.0) for own, name in human.items()}
