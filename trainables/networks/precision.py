"""Mixed precision where the device has it, float32 elsewhere."""

from __future__ import annotations

import contextlib
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


def refuse_nan(rows: np.ndarray, precision: Precision, device: torch.device, model: str) -> None:
    """Raise ValueError where a network answers NaN or infinity for a cell, though its weights are
    finite. `rows`: cells x anything."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{model} gives NaN or infinity for {len(bad):,} of {len(rows):,} cells (the first is"
            f" number {bad[0]}) in {usable(precision, device)}; try precision='float32'"
        )


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager:
    """Mixed precision where the device has it; for predictions as for training."""
    chosen = usable(precision, device)
    if chosen == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, chosen))
