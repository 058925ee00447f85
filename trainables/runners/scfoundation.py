"""Embeds cells with a checkout of scFoundation: `model/get_embedding.py`, its single-cell path.

    python scfoundation.py '{"checkout": ..., "weights": ..., "there": ..., "back": ..., ...}'

Theirs are the network, its configuration and the gathering of tokens; the loop is ours, because
their script reads fixed paths and wants a GPU. Needs torch, numpy and what their model/ imports,
and no newer Python than theirs may be.
"""

import json
import os
import sys

import numpy as np


def main(job):
    import torch

    sys.path.insert(0, job["checkout"] + "/model")
    import load  # pyright: ignore[reportMissingImports]

    held = torch.load(job["weights"], map_location="cpu", weights_only=True)
    if job["key"] not in held:
        raise SystemExit(f"{job['weights']} has no {job['key']!r}; it has: {', '.join(held)}")
    made = load.convertconfig(held[job["key"]])
    network = load.select_model(made["config"])
    network.load_state_dict(made["model_state_dict"])
    network.eval().to(job["device"])
    cells = np.load(job["there"])
    starts, genes, counts = cells["starts"], cells["genes"], cells["counts"].astype(np.float64)
    rows = []
    with torch.no_grad():
        for cell in range(len(starts) - 1):
            if os.getppid() != job["parent"]:
                raise SystemExit("the trial that asked is gone")
            x = np.zeros(job["genes"])
            stored = slice(starts[cell], starts[cell + 1])
            x[genes[stored]] = counts[stored]
            rows.append(embedded(torch, load, network, made["config"], x, job))
    np.savez(job["back"], embedding=np.stack(rows))


def embedded(torch, load, network, config, counts, job):
    """One cell, as their loop over cells has it."""
    total = counts.sum()
    way, number = job["resolution"][0], float(job["resolution"][1:])
    depth = number
    if way == "f":
        depth = np.log10(total * number)
    elif way == "a":
        depth = np.log10(total) + number
    told = [*np.log1p(counts / total * 1e4).tolist(), depth, np.log10(total)]
    values = torch.tensor(told).unsqueeze(0).to(job["device"])
    ids = torch.arange(len(told), device=values.device).unsqueeze(0)
    there = values > 0
    x, padding = load.gatherData(values, there, config["pad_token_id"])
    places, _ = load.gatherData(ids, there, config["pad_token_id"])
    x = network.token_emb(x.unsqueeze(2).float(), output_weight=0) + network.pos_emb(places)
    out = network.encoder(x, padding)
    if job["pool"] == "max":
        return out.max(dim=1).values[0].cpu().numpy()
    genes = out[:, :-2]
    parts = [out[:, -1], out[:, -2], genes.max(dim=1).values, genes.mean(dim=1)]
    return torch.cat(parts, dim=1)[0].cpu().numpy()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
