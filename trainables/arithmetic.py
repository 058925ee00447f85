"""Arithmetic that a model computes with: device, precision and attention kernel.

Two of a kind may differ in every number, so a kept embedding goes by all three, and each record
names them. A model declares two attributes: `precision`, "float32" where it has a network, or a
parameter; and `attention`, "sdpa" where torch chooses the kernel, or the kernel's own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True)
class Arithmetic:
    """What a model computes with on one device; "" where it has no network or no attention."""

    device: str
    precision: str = ""
    """"float32", or the half precision of its forward passes: "bfloat16" or "float16"."""
    attention: str = ""
    """"flash", "efficient", "cudnn" or "math" of torch, several joined by "+" where padding
    decides; "performer"; or the module of the authors' code that chooses."""


def arithmetic(model: Any, device: str) -> Arithmetic:
    """The arithmetic of a model, or of the network that it wraps, on "cpu" or "cuda".

    A GPU without bfloat16, and every CPU, computes in float32.
    """
    inner = getattr(model, "embedder", None)
    if not hasattr(model, "precision"):
        return Arithmetic(device) if inner is None else arithmetic(inner, device)
    import torch

    from trainables.networks.precision import Precision, usable

    place = torch.device(device)
    precision = usable(cast(Precision, model.precision), place)
    attention = getattr(model, "attention", "")
    if attention == "sdpa":
        from trainables.networks.attention import sdpa_kernels

        attention = sdpa_kernels(place, precision)
    return Arithmetic(device, precision, attention)
