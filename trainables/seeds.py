"""Randomness named by its purpose: whoever uses the same words gets the same draw."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The generator for one purpose of one seed, the same on every machine and for every model.

    Comparisons are paired because the purpose, and never the model, decides the draw.

    >>> [int(stream(3, purpose).integers(1000)) for purpose in ("split", "split", "subset")]
    [532, 532, 277]
    """
    words = np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:16], dtype=np.uint32)
    return np.random.default_rng([seed, *words.tolist()])


def random_state(seed: int, purpose: str) -> int:
    """The same as one integer, for libraries that take `random_state`."""
    return int(stream(seed, purpose).integers(2**31))


@contextlib.contextmanager
def borrowed(seed: int, purpose: str) -> Iterator[int]:
    """For libraries that draw from global generators: these are seeded, and afterwards as before.

    Gives the seed, for those that want it too.

    >>> before = random.getstate()
    >>> with borrowed(3, "init"):
    ...     first = random.random()
    >>> with borrowed(3, "init"):
    ...     random.random() == first
    True
    >>> random.getstate() == before
    True
    """
    numbers, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch: Any = sys.modules.get("torch")
    tensors = torch.get_rng_state() if torch else None
    chosen = random_state(seed, purpose)
    random.seed(chosen)
    np.random.seed(chosen)  # noqa: NPY002
    if torch:
        torch.manual_seed(chosen)
    try:
        yield chosen
    finally:
        random.setstate(numbers)
        np.random.set_state(arrays)  # noqa: NPY002
        if torch:
            torch.set_rng_state(tensors)
