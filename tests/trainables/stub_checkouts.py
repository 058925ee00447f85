"""Stand-ins for the checkouts of scFoundation and GeneCompass, with an arithmetic done by hand."""

import sys
import venv

import numpy as np
import pandas as pd

from tests.trainables.tiny_checkouts import prior
from trainables.models.genecompass import GeneCompass
from trainables.models.scfoundation import GENES, ScFoundation

SCFOUNDATION = '''
"""Has the names that are driven, and an arithmetic that can be done by hand."""
import torch
from pretrainmodels import select_model


def convertconfig(held):
    return {"config": held["config"], "model_state_dict": held["state_dict"]}


def gatherData(data, labels, pad):
    return data[labels].unsqueeze(0), torch.zeros(1, int(labels.sum()), dtype=torch.bool)
'''
SCFOUNDATION_NETWORK = """
import torch


class Tokens(torch.nn.Module):
    def forward(self, x, output_weight=0):
        return torch.cat([x, 2 * x], dim=2)


class Network(torch.nn.Module):
    def __init__(self, places):
        super().__init__()
        self.token_emb, self.pos_emb = Tokens(), torch.nn.Embedding(places, 2)

    def encoder(self, x, padding):
        return x


def select_model(config):
    return Network(config["places"])
"""
GENECOMPASS = """
import torch


class Network:
    use_cls_token = True

    def __init__(self):
        self.bert = self

    def eval(self):
        return self

    def to(self, device):
        return self

    def __call__(self, input_ids, values, attention_mask, species):
        genes = torch.stack([input_ids.float(), values], dim=2)
        cell = torch.stack([species[:, 0].float(), (values * attention_mask).sum(1)], dim=1)
        return (torch.cat([cell.unsqueeze(1), genes], dim=1),)


class BertForMaskedLM:
    @staticmethod
    def from_pretrained(folder, knowledges, output_loading_info):
        assert set(knowledges) == {
            "promoter", "co_exp", "gene_family", "peca_grn", "homologous_gene_human2mouse"
        }
        lost = ["bert.lost"] if "unfit" in folder else []
        return Network(), {"missing_keys": lost, "mismatched_keys": [], "unexpected_keys": []}
"""


def scfoundation(root, known):
    """A checkout that knows these genes, and weights beside it: their folder, and the positions."""
    import torch

    for name in ScFoundation.home.needs:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    genes = [*known, "ABSENT"]
    pd.DataFrame({"gene_name": genes, "index": range(len(genes))}).to_csv(
        root / GENES, sep="\t", index=False
    )
    (root / "model/load.py").write_text(SCFOUNDATION)
    (root / "model/pretrainmodels/__init__.py").write_text(SCFOUNDATION_NETWORK)
    places = np.random.default_rng(0).random((len(genes) + 2, 2)).astype(np.float32)
    held = {
        "config": {"places": len(places), "pad_token_id": 103},
        "state_dict": {"pos_emb.weight": torch.from_numpy(places)},
    }
    weights = root.with_name(f"{root.name}-weights")
    weights.mkdir()
    torch.save({"cell": held}, weights / "models.ckpt")
    return weights, genes, places


def genecompass(root, known):
    """A checkout with prior knowledge of these genes, and weights beside it: their folder, and the
    tokens and medians of the genes."""
    import torch

    known = prior(root, list(known))
    for name in GeneCompass.home.needs:
        if name.endswith(".py"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text("")
    (root / "genecompass/__init__.py").write_text(GENECOMPASS)
    (root / "genecompass/utils.py").write_text("load_prior_embedding = lambda: range(5)")
    weights = root.with_name(f"{root.name}-weights")
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    torch.save({"bert.weight": torch.ones(2)}, weights / "pytorch_model.bin")
    return weights, known


def interpreter(folder):
    """A Python that sees this one's packages, and claims to have those that both checkouts want."""
    venv.create(folder, symlinks=True)
    name = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    sites = [path for path in sys.path if path.endswith("site-packages")]
    line = f"import site; list(map(site.addsitedir, {sites!r}))\n"
    (folder / name / "packages.pth").write_text(line)
    for package, version in {
        "einops": "0.8",
        "local_attention": "1.9",
        "transformers": "4.30.0",
        "datasets": "2.0",
    }.items():
        info = folder / name / f"{package}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
    return folder / "bin/python"
