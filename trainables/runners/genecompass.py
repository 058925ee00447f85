"""Embeds cells with a checkout of GeneCompass, in the interpreter that its requirements want.

    python genecompass.py '{"checkout": ..., "weights": ..., "there": ..., "back": ..., ...}'

Theirs are the network and the reading of prior knowledge (`load_prior_embedding`, as in
EmbeddingGenerator.py); padding is masked, which that file leaves out and its training does not.
"""

import json
import os
import sys

import numpy as np


def main(job):
    sys.path.insert(0, job["checkout"])
    import torch
    from genecompass import BertForMaskedLM  # pyright: ignore
    from genecompass.utils import load_prior_embedding  # pyright: ignore

    names = ("promoter", "co_exp", "gene_family", "peca_grn", "homologous_gene_human2mouse")
    prior = dict(zip(names, load_prior_embedding()))  # noqa: B905  their Python may be old
    network, found = BertForMaskedLM.from_pretrained(
        job["weights"], knowledges=prior, output_loading_info=True
    )
    for what in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if found[what]:
            raise SystemExit("the weights have " + what.replace("_", " ") + f": {found[what][:3]}")
    if job["pooling"] == "cls" and not network.use_cls_token:
        raise SystemExit("these weights have no token of a cell; take pooling='mean'")
    bert = network.bert.eval().to(job["device"])
    cells, rows = np.load(job["there"]), []
    ids, values, lengths = cells["ids"], cells["values"], cells["lengths"]
    with torch.no_grad():
        for first in range(0, len(ids), job["batch"]):
            if os.getppid() != job["parent"]:
                raise SystemExit("the trial that asked is gone")
            some = slice(first, first + job["batch"])
            longest = lengths[some].max()
            there = np.arange(longest) < lengths[some, None]
            parts = ids[some, :longest].astype(np.int64), values[some, :longest], there
            tokens, told, mask = (torch.from_numpy(part).to(job["device"]) for part in parts)
            out = bert(
                input_ids=tokens,
                values=told,
                attention_mask=mask.float(),
                species=torch.full((len(mask), 1), job["species"], device=job["device"]),
            )[0]
            if job["pooling"] == "cls":
                rows.append(out[:, 0].cpu().numpy())
                continue
            genes = out[:, -longest:] * mask.unsqueeze(2)
            rows.append((genes.sum(dim=1) / mask.sum(dim=1, keepdim=True)).cpu().numpy())
    np.savez(job["back"], embedding=np.concatenate(rows))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
