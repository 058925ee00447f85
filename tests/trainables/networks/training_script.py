"""A small training in a process of its own, which tests kill or run several of.

python training_script.py CHECKPOINT OUT [SECONDS_A_BATCH [PLACE RANK]]
"""

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainables.networks.generators import seeded
from trainables.networks.processes import Place, joined, parted
from trainables.networks.rates import exponential
from trainables.networks.training import Plan, Training

ROWS = 23


def main(checkpoint, out, pause=0.0, report=lambda told: print(told, flush=True)):
    """Train, and keep the weights and the history."""
    # what differs between one process and two: their own dropout, and batch statistics
    plain = out.stem.startswith(("one", "two"))
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(ROWS, 5)).astype(np.float32))
    y = torch.from_numpy(rng.integers(3, size=ROWS))
    with seeded(1, "init"):
        dropout = nn.Dropout(0.0 if plain else 0.3)
        module = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), dropout, nn.BatchNorm1d(16))
        module.append(nn.Linear(16, 3))
    module.register_parameter("unused", nn.Parameter(torch.ones(2)))  # must not decay
    if plain:
        module[3] = nn.Identity()

    def loss(rows, draws):
        time.sleep(pause)
        noise = torch.from_numpy(draws.normal(size=(len(rows), 5)).astype(np.float32) / 10)
        for at in parted(np.arange(len(rows))):
            said = module(x[rows[at]] + noise[at])
            yield nn.functional.cross_entropy(said, y[rows[at]], reduction="sum") / len(rows)

    training = Training(
        module,
        loss,
        len(x),
        Plan(epochs=4, batch=5, accumulate=2, clip=1.0, best="-valid/loss", save_every_s=0),
        seed=1,
        optimizer=torch.optim.AdamW(module.parameters()),
        rate=exponential(0.05, 0.9),
        evaluate=lambda: {"valid/loss": float(nn.functional.cross_entropy(module(x), y))},
        checkpoint=checkpoint,
        report=report,
    )
    progress = training.run()
    torch.save({"weights": module.state_dict(), "history": progress.history}, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    checkpoint, out, pause, place, rank = (*sys.argv[1:], *("0", "", "0")[len(sys.argv) - 3 :])
    shared = joined(Place(**json.loads(place)), int(rank)) if place else nullcontext()
    with shared:
        main(Path(checkpoint) if checkpoint else None, Path(out), float(pause))
