"""Small checkpoints in the authors' official layouts, as a browser would have saved them."""

import anndata as ad
import numpy as np
import pandas as pd
import torch

from tests.trainables import stub_checkouts, tiny_scimilarity

SCBERT = {"dim": 12, "depth": 2, "heads": 2, "dim_head": 8, "ff_mult": 1}
"""The network's shape, which scBERT's file does not say."""


def scbert(folder, genes):
    """`panglao_pretrain.pth`, and the authors' cells whose genes are its own."""
    from trainables.networks.performer import ScBERTNetwork, Size

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ScBERTNetwork(Size(len(genes), gene2vec=True, **SCBERT))
    torch.save(
        {"epoch": 1, "model_state_dict": network.state_dict()}, folder / "panglao_pretrain.pth"
    )
    cells = ad.AnnData(np.zeros((1, len(genes)), np.float32), var=pd.DataFrame(index=list(genes)))
    cells.write_h5ad(folder / "panglao_10000.h5ad")
    return sorted(folder.iterdir())


def scgpt(folder, genes):
    """`best_model.pt`, `args.json` and `vocab.json`."""
    from trainables.networks.scgpt import Architecture
    from trainables.networks.scgpt_checkpoint import build, save

    vocabulary = {token: i for i, token in enumerate([*genes, "<pad>", "<cls>", "<eoc>"])}
    size = {"tokens": len(vocabulary), "pad": vocabulary["<pad>"], "mvc": True}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(Architecture(width=8, heads=2, hidden=8, layers=1, **size))
    save(network, vocabulary, 51, 1200, folder)
    return sorted(folder.iterdir())


def geneformer(folder, genes):
    """`config.json`, `model.safetensors` and the dictionaries of V1, by their published names."""
    from transformers import BertConfig

    from trainables.genes.dictionaries import SPECIAL, Dictionaries
    from trainables.networks.geneformer import built, save

    ids = [f"ENSG{i:011}" for i in range(len(genes))]
    tokens = {name: i for i, name in enumerate([*SPECIAL["v1"], *ids])}
    known = Dictionaries(
        tokens, dict.fromkeys(ids, 1.0), dict(zip(map(str, genes), ids, strict=True))
    )
    shape = BertConfig(
        vocab_size=known.size, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=64, hidden_act="relu", pad_token_id=0,
    )  # fmt: skip
    save(built(shape, 0), known, folder)
    for path in folder.glob("*.pkl"):
        path.rename(path.with_name(f"{path.stem}_gc30M.pkl"))
    return sorted(
        path for path in folder.iterdir() if path.suffix == ".pkl" or "generation" not in path.name
    )


def scimilarity(folder, genes):
    """`encoder.ckpt` and `gene_order.tsv`."""
    tiny_scimilarity.write(folder, list(genes))
    return [folder / name for name in ("encoder.ckpt", "gene_order.tsv")]


def scfoundation(folder, genes):
    """`models.ckpt`, and a stand-in of the authors' checkout in `checkout` beside it."""
    weights, *_ = stub_checkouts.scfoundation(folder / "checkout", genes)
    return [weights / "models.ckpt"]


def genecompass(folder, genes):
    """`config.json` and `pytorch_model.bin`, and a stand-in of the authors' checkout beside it."""
    weights, _ = stub_checkouts.genecompass(folder / "checkout", genes)
    return sorted(weights.iterdir())


ALL = (scbert, scgpt, geneformer, scimilarity, scfoundation, genecompass)
