"""scBERT, scGPT and Geneformer beside their authors' model classes: embedding and fine-tuning.

    uv run --extra scgpt python benchmarks/finetune.py [--model scbert scgpt geneformer]
        [--cells 4] [--trained 2] [--genes 2000] [--device cuda]

Cells per second of the same random weights on the same cells, at the published sizes. The peers:
- scBERT: `performer_pytorch.PerformerLM`, of which the authors' class is an older copy (that made
  keys harmless by one maximum, this one by each head's, so that outputs differ a little), with
  their head; every block runs in each step, and cells are embedded one at a time. Ours with the
  frozen blocks' output computed without gradients ("first epoch") and kept ("later epochs").
- scGPT: the `scgpt` package's network as `embed_data` and the papers' fine-tuning drive it: one
  padded batch, every output computed. Where it is not installed: our network, torch's encoder.
- Geneformer: `BertForMaskedLM` as `EmbExtractor` drives it (longest cells first, padded, all hidden
  states and the scores of all tokens), and `BertForSequenceClassification` as `Trainer` does with
  `group_by_length` (cells of like length, padded, AdamW, clipped at 1).
"full" cells are as long as the network allows, "mixed" ones have from a quarter of that. On CPU all
is float32, on a GPU bfloat16. Utilisation is the operations that the task needs (not those of
outputs that nobody asked for, nor of what was kept), over the seconds, over a GPU's peak or what a
large matrix product reaches here.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import show
from contests import Contest
from finetune_geneformer import geneformer
from finetune_scbert import scbert
from finetune_scgpt import scgpt

from trainables.networks.inference import threads
from trainables.protocols import Context
from trainables.store import Store

MODELS = {"scbert": scbert, "scgpt": scgpt, "geneformer": geneformer}
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Dense bfloat16 operations a second, by the makers' data sheets."""
HEADER: list[object] = ["what", "authors, cells/s", "ours, cells/s", "ratio", "ratio of CPU time"]
HEADER += ["differ by", "of peak FLOP/s, theirs", "ours"]


def main() -> None:
    """Measure one contest after the other, and print the ratios."""
    asked = arguments()
    warnings.simplefilter("ignore")
    peak, of = peak_flops(torch.device(asked.device), asked.threads)
    print(f"torch {torch.__version__}, {asked.threads} threads, {asked.device}; load", end=" ")
    print(
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; peak {peak / 1e12:.2f} TFLOP/s ({of})"
    )
    for name in asked.model:
        torch.manual_seed(0)
        rows: list[list[object]] = [HEADER]
        with threads(asked.threads), tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            ctx = Context(0, place, Store(place), asked.device, cpus=asked.threads)
            for contest in MODELS[name](asked, ctx):
                rows += measured(contest, asked.rounds, peak)
        show(f"{name}, authors' beside ours", rows)


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--cells", type=int, default=4, help="cells to embed")
    parser.add_argument("--trained", type=int, default=2, help="cells of a fine-tuning step")
    parser.add_argument("--genes", type=int, nargs="+", default=[2000], help="of scBERT's cells")
    parser.add_argument("--longest", type=int, help="tokens of scGPT's and Geneformer's cells")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many is shown")
    return parser.parse_args()


def measured(contest: Contest, rounds: int, peak: float) -> list[list[object]]:
    """A row for each of our arms: rates, the best of some rounds taken in turn, and the rest."""
    best = [(np.inf, np.inf)] * len(contest.arms)
    said: list[Any] = [None] * len(contest.arms)
    for _ in range(rounds):
        for i, arm in enumerate(contest.arms):
            said[i], costs = timed(arm.run)
            best[i] = min(best[i], costs)
    theirs, rows = best[0], []
    for arm, costs, answer in zip(contest.arms[1:], best[1:], said[1:], strict=True):
        apart = "" if answer is None else f"{np.abs(answer - said[0]).max():.1e}"
        shares = [contest.arms[0].flops / theirs[0] / peak, arm.flops / costs[0] / peak]
        name = f"{contest.what}{', ' * bool(arm.name)}{arm.name}"
        print(f"{name}: {theirs[0]:.2f} s and {costs[0]:.2f} s", flush=True)
        rows.append(
            [
                name,
                *(f"{contest.cells / seconds:.3g}" for seconds in (theirs[0], costs[0])),
                *(f"{theirs[i] / costs[i]:.1f}x" for i in (0, 1)),
                apart,
                *(f"{share:.0%}" for share in shares),
            ]
        )
    return rows


def timed(run: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What it says; seconds of the clock and of all cores."""
    finished()
    wall, cpu = time.perf_counter(), time.process_time()
    said = run()
    finished()
    return said, (time.perf_counter() - wall, time.process_time() - cpu)


def finished() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_flops(device: torch.device, n: int) -> tuple[float, str]:
    """Operations a second: a known GPU's in bfloat16, else what a matrix product reaches."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
        for known, peak in PEAKS.items():
            if known in name:
                return peak, f"{name}, bfloat16"
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    a = torch.rand(2048, 2048, device=device, dtype=kind)
    with threads(n):
        least = min(timed(lambda: a @ a)[1][0] for _ in range(5))
    return 2 * 2048**3 / least, f"a matrix product of {kind}"


if __name__ == "__main__":
    main()
