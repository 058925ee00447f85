"""A small training in a process of its own, which tests kill or run several of.

python training_script.py CHECKPOINT OUT [SECONDS_A_BATCH]; ranks come from torch's environment.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainables.networks.training import Plan, Training, exponential, seeded


def main(checkpoint, out, pause=0.0, report=lambda told: print(told, flush=True)):
    """Train, and keep the weights and the history."""
    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group("gloo")
    # what differs between one process and two: their own dropout, draws and batch statistics
    plain = out.stem in ("one", "two")

    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(24, 5)).astype(np.float32))
    y = torch.from_numpy(rng.integers(3, size=24))
    with seeded(1, "init"):
        dropout = nn.Dropout(0.0 if plain else 0.3)
        module = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), dropout, nn.BatchNorm1d(16))
        module.append(nn.Linear(16, 3))
    if plain:
        module[3] = nn.Identity()  # batch statistics are each process's own

    def loss(rows, draws):
        time.sleep(pause)
        noise = 0 if plain else draws.normal(size=(len(rows), 5)) / 10
        given = x[rows] + torch.as_tensor(noise, dtype=torch.float32)
        yield nn.functional.cross_entropy(module(given), y[rows])

    training = Training(
        module,
        loss,
        len(x),
        Plan(epochs=4, batch=4, accumulate=2, clip=1.0, best="-valid/loss", save_every_s=0),
        seed=1,
        optimizer=torch.optim.Adam(module.parameters()),
        rate=exponential(0.05, 0.9),
        evaluate=lambda: {"valid/loss": float(nn.functional.cross_entropy(module(x), y))},
        checkpoint=checkpoint,
        report=report,
    )
    progress = training.run()
    if os.environ.get("RANK", "0") == "0":
        torch.save({"weights": module.state_dict(), "history": progress.history}, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), float((*sys.argv, "0")[3]))
