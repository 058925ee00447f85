"""A small checkpoint in SCimilarity's official layout."""

import json

import numpy as np
import torch

from trainables.networks.scimilarity import Encoder


def write(folder, genes, hidden=(8, 6), latent=5):
    """As the authors' `save_all` has it: what we read, and some of what we do not."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder([len(genes), *hidden, latent])
        for name, tensor in encoder.state_dict().items():
            if tensor.is_floating_point():  # running statistics too, so that none is 0 or 1
                draws = torch.rand_like(tensor)
                tensor.copy_(draws + 0.5 if "running_var" in name else draws - 0.5)
    state = encoder.state_dict()
    torch.save({"state_dict": state}, folder / "encoder.ckpt")
    (folder / "gene_order.tsv").write_text("\n".join(genes))
    sizes = {key: list(value.shape) for key, value in state.items()}
    (folder / "layer_sizes.json").write_text(json.dumps(sizes))
    (folder / "hyperparameters.json").write_text(json.dumps({"latent_dim": latent}))
    (folder / "label_ints.csv").write_text('"","0"\n0,"B cell"\n')
    return folder, {key: np.asarray(value) for key, value in state.items()}
