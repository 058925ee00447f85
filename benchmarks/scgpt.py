"""scGPT at the human model's size: our network against the authors', the same cells in one run.

    uv run --extra scgpt python benchmarks/scgpt.py [--cells 4] [--trained 2] [--device cuda]

51 million random weights, 1,200 tokens a cell: `full` has no padding, in `mixed` cells have 300 to
1,200 tokens. The peer is the `scgpt` package's own network, run as its `embed_data` and the papers'
fine-tuning run it: one padded batch, every output computed, `torch.nn.TransformerEncoder` inside.
Where the package is not installed, torch's encoder in our network stands in for it, and the first
line says so. On CPU both have float32 and the same threads; on a GPU both have bfloat16.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import show
from scipy.sparse import csr_matrix
from torch import nn

from trainables.genes.tokens import Tokens
from trainables.networks.inference import asked, threads
from trainables.networks.scgpt import Architecture, ScGPTNetwork
from trainables.networks.scgpt_authors import authors_network, installed
from trainables.networks.scgpt_runs import class_loss, tensors
from trainables.networks.training import autocast

SHAPE = Architecture(tokens=60_697, pad=60_694, classes=10, mvc=False)
LONGEST = 1200
H200_BF16 = 989e12
Arm = Callable[[Tokens], Any]


def main() -> None:
    """Measure both, one after the other, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, default=4, help="cells to embed")
    parser.add_argument("--trained", type=int, default=2, help="cells of a fine-tuning step")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many is shown")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    peer_name = "scgpt 0.2.4" if installed() else "torch's encoder, since scgpt is not installed"
    print(f"peer: {peer_name}; torch {torch.__version__}, {chosen.threads} threads,", end=" ")
    print(f"{chosen.device}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    torch.manual_seed(0)
    device = torch.device(chosen.device)
    ours = ScGPTNetwork(SHAPE).to(device)
    theirs = the_peer(ours).to(device)
    rows: list[list[object]] = [
        ["what", "authors, cells/s", "fast, cells/s", "ratio", "ratio of CPU time", "differ by"]
    ]
    embedding: list[Arm] = [
        lambda cells: embedded_by_peer(theirs, cells, device),
        lambda cells: embedded(ours, cells, device, chosen.threads),
    ]
    training: list[Arm] = [
        lambda cells: stepped_by_peer(theirs, cells, device),
        lambda cells: stepped(ours, cells, device),
    ]
    with threads(chosen.threads):
        for arm in (*embedding, *training):
            arm(some_cells(2, 20, 40))  # compiled and warm
        for name, shortest in (("full", LONGEST), ("mixed", LONGEST // 4)):
            for what, arms, n in (
                ("embedding", embedding, chosen.cells),
                ("fine-tuning", training, chosen.trained),
            ):
                cells = some_cells(n, shortest)
                rows.append(compared(f"{what}, {name}", arms, cells, chosen.rounds))
    show("Cells per second", rows)
    if device.type == "cuda":
        print(f"\nMFU of fast: {utilised(rows)}")


def the_peer(ours: ScGPTNetwork) -> nn.Module:
    """The authors' network, or ours around torch's encoder, with our weights."""
    state = ours.state_dict()
    if installed():
        network = authors_network(SHAPE)
    else:
        network = ScGPTNetwork(SHAPE)
        layer = nn.TransformerEncoderLayer(
            SHAPE.width, SHAPE.heads, SHAPE.hidden, SHAPE.dropout, batch_first=True
        )
        network.transformer_encoder = StandIn(layer, SHAPE.layers)  # type: ignore[assignment]
    network.load_state_dict(state)
    return network


class StandIn(nn.TransformerEncoder):
    """Torch's encoder, called as ours is; it knows no shortcut for `<cls>`."""

    def forward(self, x: Any, padding: Any, asking: Any = None) -> Any:  # type: ignore[override]
        return super().forward(x, src_key_padding_mask=padding)


def some_cells(n: int, shortest: int, longest: int = LONGEST) -> Tokens:
    """Random genes in random bins."""
    rng = np.random.default_rng(0)
    lengths = np.linspace(shortest, longest, n).astype(int) - 1
    columns = np.concatenate([rng.permutation(SHAPE.pad)[:length] for length in lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    bins = rng.integers(1, 51, len(columns)).astype(np.float32)
    binned = csr_matrix((bins, columns, starts), shape=(n, SHAPE.pad))
    return Tokens(binned, np.arange(SHAPE.pad), SHAPE.pad, SHAPE.pad + 1, 0.0)


def embedded_by_peer(network: Any, cells: Tokens, device: torch.device) -> np.ndarray:
    """As `embed_data`: one padded batch in eval mode, the output at `<cls>`."""
    network.eval()
    with torch.no_grad(), autocast(device, "bfloat16"):
        batch = tensors(cells, np.arange(len(cells.lengths)), device)
        said = network._encode(*batch)[:, 0] if installed() else network(*batch)["cell_emb"]
        return said.float().cpu().numpy()


def embedded(network: Any, cells: Tokens, device: torch.device, workers: int) -> np.ndarray:
    """As `scgpt` embeds."""
    network.eval()

    def answer(rows: np.ndarray) -> np.ndarray:
        with autocast(device, "bfloat16"):
            said = network(*tensors(cells, rows, device))["cell_emb"]
        return said.float().cpu().numpy()

    return np.concatenate(list(asked(answer, cells.lengths, device, workers)))


def stepped_by_peer(network: Any, cells: Tokens, device: torch.device) -> None:
    """A step as the papers' fine-tuning takes it."""
    network.train()
    rows = np.arange(len(cells.lengths))
    with autocast(device, "bfloat16"):
        said = network(*tensors(cells, rows, device), want=("cls_output",))["cls_output"]
        loss = F.cross_entropy(said, torch.from_numpy(rows % SHAPE.classes).to(device))
    finish(network, loss)


def stepped(network: Any, cells: Tokens, device: torch.device) -> None:
    """A step as `scgpt` takes it."""
    network.train()
    rows = np.arange(len(cells.lengths))
    with autocast(device, "bfloat16"):
        loss = class_loss(network, cells, rows % SHAPE.classes)(rows, np.random.default_rng(0))
    finish(network, loss)


def finish(network: Any, loss: torch.Tensor) -> None:
    """Back, clipped, and Adam's step."""
    if not hasattr(network, "adam"):
        network.adam = torch.optim.Adam(network.parameters(), lr=1e-9, eps=1e-4)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    network.adam.step()
    network.adam.zero_grad()


def compared(name: str, arms: list[Arm], cells: Tokens, rounds: int) -> list[object]:
    """A row: both rates, the best of some rounds taken in turn, and how far answers are apart."""
    n = len(cells.lengths)
    wall, cpu, answers = [np.inf, np.inf], [np.inf, np.inf], [None, None]
    for _ in range(rounds):
        for i, arm in enumerate(arms):
            start = time.perf_counter(), time.process_time()
            answers[i] = arm(cells)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            wall[i] = min(wall[i], time.perf_counter() - start[0])
            cpu[i] = min(cpu[i], time.process_time() - start[1])
    apart = "" if answers[0] is None else f"{np.abs(answers[0] - answers[1]).max():.1e}"
    print(f"{name}: {wall[0]:.2f} s and {wall[1]:.2f} s for {n} cells", flush=True)
    slow, fast = (n / seconds for seconds in wall)
    ratios = [f"{wall[0] / wall[1]:.1f}", f"{cpu[0] / cpu[1]:.1f}"]
    return [name, f"{slow:.3f}", f"{fast:.3f}", *ratios, apart]


def utilised(rows: list[list[object]]) -> str:
    """The share of the GPU's bfloat16 peak (an H200's) that the full batches used."""
    per_token = 12 * (6 * SHAPE.width**2 + 2 * LONGEST * SHAPE.width) * 2
    flops = {row[0]: float(str(row[2])) * LONGEST * per_token for row in rows[1:]}
    forward, both = flops["embedding, full"], 3 * flops["fine-tuning, full"]
    return f"embedding {forward / H200_BF16:.1%}, fine-tuning {both / H200_BF16:.1%} of an H200"


if __name__ == "__main__":
    main()
