"""Torch's global generators: seeded for a purpose, and afterwards as they were before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from trainables.seeds import random_state


@contextlib.contextmanager
def forked(device: torch.device) -> Iterator[None]:
    """Torch's global generators are as before when this is over."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextlib.contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Torch's global generator at a seed of that purpose: modules are initialised in here."""
    with forked(torch.device("cpu")):
        torch.manual_seed(random_state(seed, purpose))
        yield
