"""scBERT fine-tuned: seconds and memory a cell, ours against the authors' settings.

uv run python benchmarks/scbert.py [--genes 2000 8000] [--device cuda]

The authors' settings: the kernel of their code (every feature kept for gradients), all blocks run
in every step, float32. Ours: features in parts, bfloat16 on a GPU, and the frozen blocks' output
kept from before (`step`) or computed without gradients (`first`). Each is a process of its own, one
cell a batch, the authors' architecture. Seconds are CPU time (wall time on a GPU), after a step of
a small network; memory is what the peak is above the size before (on a GPU: allocated).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

from common import peak_mb, show


def measure(kind: str, genes: int, device: str) -> dict[str, float]:
    """Seconds of one training step on one cell, and the memory that it takes at most."""
    if genes > 50:
        measure(kind, 50, device)  # what torch loads at its first step is no part of it
    import torch
    from torch.nn.functional import cross_entropy

    from trainables.networks import performer
    from trainables.networks.cell_types import freeze, with_head
    from trainables.networks.training import autocast

    torch.set_num_threads(2)
    place = torch.device(device)
    if kind == "authors":
        performer.AT_ONCE = {"cpu": 2**62, "cuda": 2**62}  # nothing in parts, nothing twice
    network = performer.ScBERTNetwork(
        performer.Size(genes), "paper" if kind == "authors" else "per_cell"
    )
    network = with_head(network, 11, 0).to(place)
    first = freeze(network, "last")
    tokens = torch.randint(0, 6, (1, genes + 1), device=place)
    truth = torch.zeros(1, dtype=torch.long, device=place)
    precision = "float32" if kind == "authors" else "bfloat16"
    kept = torch.randn(1, genes + 1, network.size.dim, device=place)

    def step() -> None:
        with autocast(place, precision):
            if kind == "authors":
                x = network.blocks(network.embed(tokens))
            else:
                x = kept
                if kind == "first":
                    with torch.no_grad():
                        x = network.blocks(network.embed(tokens), 0, first)
                x = network.blocks(x, first)
            scores = network.to_out(network.norm(x))
        cross_entropy(scores.float(), truth).backward()

    if device == "cuda":
        step()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before = 0.0 if device == "cuda" else peak_mb()
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = clock() - started
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else peak_mb()
    return {"seconds": seconds, "mb": peak - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, nargs="+", default=[2000, 8000, 16906])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", help="measure this kind in this process")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.genes[0], asked.device)))
        return
    table: list[list[object]] = [["genes", "what", "s a cell", "ratio", "peak MB", "ratio"]]
    for genes in asked.genes:
        found = {}
        for kind in ("authors", "first", "step"):
            command = [sys.executable, __file__, "--one", kind, "--genes", str(genes)]
            command += ["--device", asked.device]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[kind] = json.loads(said.splitlines()[-1])
        peer = found["authors"]
        for kind, got in found.items():
            times = peer["seconds"] / got["seconds"]
            sizes = peer["mb"] / got["mb"]
            row = [genes, kind, f"{got['seconds']:.2f}", f"{times:.1f}x"]
            table.append([*row, f"{got['mb']:.0f}", f"{sizes:.1f}x"])
    show(f"scBERT, one cell a step, on {asked.device}", table)


if __name__ == "__main__":
    main()
