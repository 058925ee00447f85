"""Mixed precision where the device has it, float32 elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

Precision = Literal["float32", "bfloat16", "float16"]


def usable(precision: Precision, device: torch.device) -> Precision:
    """That precision where the device computes in it, else float32."""
    if device.type != "cuda" or (
        precision == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        return "float32"
    return precision


def refuse_nan(
    answers: Sequence[np.ndarray] | np.ndarray,
    precision: Precision,
    device: torch.device,
    model: str,
) -> None:
    """Raise ValueError where a network answers NaN or infinity, though its weights are finite.

    `answers`: one array a cell, or cells x anything. The message names cells and precision.
    """
    if isinstance(answers, np.ndarray):
        bad = np.flatnonzero(~np.isfinite(answers).all(axis=tuple(range(1, answers.ndim))))
    else:
        bad = np.flatnonzero([not np.isfinite(one).all() for one in answers])
    if not len(bad):
        return
    used = usable(precision, device)
    numbers = ", ".join(map(str, bad[:3])) + (", ..." if len(bad) > 3 else "")
    way = "try precision='float32'"
    if used == "float32":
        way = f"leave these cells out, or get the weights again (gauntlet models fetch {model})"
    raise ValueError(
        f"{model} gives NaN or infinity for {len(bad):,} of {len(answers):,} cells (numbers"
        f" {numbers}) in {used} on {device.type}; {way}"
    )


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager:
    """Mixed precision where the device has it; for predictions as for training."""
    chosen = usable(precision, device)
    if chosen == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, chosen))
