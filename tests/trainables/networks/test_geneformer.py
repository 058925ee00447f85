"""Geneformer's networks: padding, older files, and attention that drops on a CPU."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trainables import catalog
from trainables.networks import geneformer as networks
from trainables.networks import geneformer_runs
from trainables.networks.geneformer_runs import Ranked, Run

TINY = {"weights": "none", "layers": 2, "width": 16, "heads": 2, "hidden": 16, "max_length": 64}


@pytest.mark.parametrize("specials", [(0, 0), (1, 1)])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_padded_batch_embeds_as_each_cell_alone(ctx, monkeypatch, specials, pooling):
    shape = catalog.model("geneformer", TINY).shape(SimpleNamespace(size=30, version="v1"))
    run = Run(networks.built(shape, 0), ctx)
    lengths = np.array([5, 2, 9])
    ids = np.where(np.arange(9) < lengths[:, None], np.arange(27).reshape(3, 9) + 2, 0)
    cells = Ranked(ids, lengths, specials)
    alone = run.embedding(cells, 1, pooling)
    together = [np.arange(3)]

    def asked(answer, lengths, device, workers, parts):
        with torch.no_grad():
            return [answer(rows) for rows in together]

    monkeypatch.setattr(geneformer_runs, "asked", asked)
    np.testing.assert_allclose(run.embedding(cells, 1, pooling), alone, atol=1e-5)


def test_a_legacy_file_with_positions_and_a_decoder_of_its_own_is_loaded_whole(tmp_path):
    shape = catalog.model("geneformer", TINY).shape(SimpleNamespace(size=30, version="v1"))
    made = networks.built(shape, 0)
    state = made.state_dict() | {"bert.embeddings.position_ids": torch.arange(64)[None]}
    torch.save(state, tmp_path / "pytorch_model.bin")
    network = networks.built(shape, 1)
    found = networks.load(network, tmp_path)
    assert found.ignored in ((), ("bert.embeddings.position_ids",))
    for key, value in made.state_dict().items():
        assert torch.equal(value, network.state_dict()[key])
    embedding = network.bert.embeddings.word_embeddings.weight
    assert network.cls.predictions.decoder.weight is embedding
    torch.save({**state, "bert.surplus": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"bert\.surplus"):
        networks.load(network, tmp_path)


def test_attention_that_drops_sees_what_torchs_sees():
    """With a chance of dropping that rounds to none, beside torch's own, padded and not."""
    import torch
    from transformers import BertConfig

    from trainables.networks.geneformer import ATTENTION, built

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "max_position_embeddings": 12, "vocab_size": 30}
    shape = BertConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=1e-6)
    network = built(shape, 0, 3)
    ids = torch.randint(2, 30, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(12) < torch.tensor([[12], [7], [1]])).long()
    for shown in (mask, None):
        said, slopes = [], []
        for kind in (ATTENTION, "sdpa"):
            network.config._attn_implementation = kind
            network.train(kind == ATTENTION)  # torch's own drops nothing when it is asked
            network.zero_grad()
            logits = network(ids, attention_mask=shown).logits
            logits.square().sum().backward()
            said.append(logits.detach())
            slopes.append(network.bert.embeddings.word_embeddings.weight.grad.clone())
        assert torch.allclose(*said, atol=1e-5)
        assert torch.allclose(*slopes, atol=1e-4)
