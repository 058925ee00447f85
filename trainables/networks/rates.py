"""Learning rates: functions of the epoch or the step, so that a training has no state of theirs."""

from __future__ import annotations

import math
from collections.abc import Callable

Rate = Callable[[int], float]
"""The learning rate of epoch or step 0, 1, 2, ..."""


def warmup_cosine(
    peak: float, low: float, warmup: int, cycle: int, *, stretch: float = 2.0, decay: float = 0.9
) -> Rate:
    """Linear from `low` to `peak`, then a cosine back, over `cycle` epochs or steps; then again.

    Each cosine is `stretch` times as long as the one before and its peak `decay` times as high:
    the schedule of scBERT (finetune.py), `low` at the very first epoch.

    >>> rate = warmup_cosine(1e-4, 1e-6, warmup=5, cycle=15)
    >>> [f"{rate(epoch):.3g}" for epoch in (0, 1, 5, 6, 15)]
    ['1e-06', '2.08e-05', '0.0001', '9.76e-05', '1e-06']
    """

    def rate(i: int) -> float:
        length, top = cycle, peak
        while i >= length:
            i, length, top = i - length, int((length - warmup) * stretch) + warmup, top * decay
        if i < warmup:
            return low + (top - low) * i / warmup
        return low + (top - low) * (1 + math.cos(math.pi * (i - warmup) / (length - warmup))) / 2

    return rate


def exponential(start: float, decay: float) -> Rate:
    """`decay` times the rate of the epoch before: torch's StepLR with a step of one.

    >>> exponential(1e-4, 0.9)(2)
    8.1e-05
    """
    return lambda i: start * decay**i


def linear(peak: float, warmup: int, total: int) -> Rate:
    """Up to `peak` over `warmup` steps, then down to nothing at `total`: transformers' "linear".

    >>> rate = linear(1.0, warmup=2, total=6)
    >>> [rate(step) for step in range(6)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]
    """

    def rate(i: int) -> float:
        if i < warmup:
            return peak * i / warmup
        return peak * max(0.0, (total - i) / max(1, total - warmup))

    return rate
