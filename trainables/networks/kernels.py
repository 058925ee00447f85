"""scBERT's attention, by random features of exp(q.k), and the way back, a few positions at a time.

The arithmetic is that of the authors' `softmax_kernel` and `linear_attention`
(TencentAILabHealthcare/scBERT, performer_pytorch.py). Features are 266 numbers a position and head,
more than a cache or, kept for gradients, a memory should hold: so they are summed up piece by
piece, and computed again on the way back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

import torch
from performer_pytorch.performer_pytorch import FastAttention
from torch import Tensor

from trainables.networks.inference import side_by_side

EPSILON = 1e-4
"""What the authors' kernel adds to each feature."""
POSITIONS = 512
"""Of a piece, on a CPU: its features and their slopes stay in a core's cache."""
ON_GPU = 2**27
"""Numbers of features held at once."""

Stabiliser = Literal["per_cell", "paper"]


class KernelAttention(FastAttention):
    """Attention by random features of exp(q.k), from all positions to all.

    The exponents of the keys are made harmless by a maximum that is subtracted; because of the
    `EPSILON` added later, it matters which one. `stabiliser` "paper" takes one over the batch, as
    the authors' code does, so that a cell's output depends on its batch; "per_cell" takes each
    cell's own, over heads, positions and features: what the authors' code does to a batch of one.
    """

    projection_matrix: Tensor

    def __init__(self, dim_head: int, stabiliser: Stabiliser) -> None:
        super().__init__(dim_head)
        self.stabiliser = stabiliser

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Cells x heads x positions x dim_head, three times, to the same, in float32."""
        with torch.autocast(q.device.type, enabled=False):  # exponents bear no lower precision
            directions = self.projection_matrix.float() * q.shape[-1] ** -0.25
            together = self.stabiliser == "paper"
            return Kernel.apply(q.float(), k.float(), v.float(), directions, together)


class Kernel(torch.autograd.Function):
    """See `KernelAttention`; `directions` are those of the features: features x dim_head.

    A feature is exp(.) + EPSILON, over the root of their number, which cancels. EPSILON is added to
    sums of features rather than to each. `both`, what the keys hand to the queries, is features x
    (dim_head + 1): the sums of the keys' features, times their values and times one.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, *how: Any) -> Tensor:
        directions, together = how
        cells, heads, _, width = q.shape
        both = q.new_empty(cells, heads, len(directions), width + 1)
        tops = q.new_empty(cells, heads, len(pieces(q)))
        out, totals = torch.empty_like(q), torch.empty_like(q[..., :1])

        def gather(unit: Any) -> None:
            both[unit], tops[unit] = gathered(k[unit], v[unit], directions)

        def read(unit: Any) -> None:
            less = torch.exp(tops[unit].amax(dim=-1)[..., None, None] - top[unit])
            rest = torch.cat([v[unit].sum(dim=-2), ones(v[unit]).sum(dim=-2)], dim=-1)
            both[unit] = both[unit] * less + EPSILON * rest.unsqueeze(-2)
            values, ones_ = both[unit][..., :-1], both[unit][..., -1:]
            more, most = (EPSILON * part.sum(dim=-2, keepdim=True) for part in (values, ones_))
            parts = zip(*(pieces(part[unit]) for part in (q, out, totals)), strict=True)
            for x, said, total in parts:
                projected = x @ directions.mT
                kept = exponential(projected, x, projected.amax(dim=-1, keepdim=True))
                torch.add(kept @ ones_, most, out=total)
                torch.div((kept @ values).add_(more), total, out=said)

        for_units(gather, q, directions)
        largest = tops.amax() if together else tops.amax(dim=(1, 2))
        top = largest.view(-1, 1, 1, 1).expand(cells, heads, 1, 1)
        for_units(read, q, directions)
        ctx.save_for_backward(q, k, v, out, directions, both, tops, top, totals)
        ctx.together = together
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, directions, both, tops, top, totals = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        dtop = torch.zeros_like(top.contiguous())
        square = -(q.shape[-1] ** -0.5)

        def back(unit: Any) -> None:
            dboth = torch.zeros_like(both[unit])
            arrays = (q, out, totals, grads[0], dq)
            for x, said, total, dsaid, dx in zip(*(pieces(a[unit]) for a in arrays), strict=True):
                dtotal = -(dsaid * said).sum(dim=-1, keepdim=True)
                slope = torch.cat([dsaid, dtotal], dim=-1).div_(total)
                projected = x @ directions.mT
                largest, where = projected.max(dim=-1, keepdim=True)
                kept = exponential(projected, x, largest)
                dboth += kept.mT @ slope + EPSILON * slope.sum(dim=-2, keepdim=True)
                slopes = (slope @ both[unit].mT).mul_(kept)
                sums = slopes.sum(dim=-1, keepdim=True)
                slopes.scatter_add_(-1, where, -sums)
                torch.addcmul(slopes @ directions, x, sums, value=square, out=dx)
            values, rest = dboth[..., :-1], EPSILON * dboth[..., :-1].sum(dim=-2, keepdim=True)
            for x, y, dx, dy in zip(*(pieces(a[unit]) for a in (k, v, dk, dv)), strict=True):
                kept = exponential(x @ directions.mT, x, top[unit])
                torch.add(kept @ values, rest, out=dy)
                slopes = (torch.cat([y, ones(y)], dim=-1) @ dboth.mT).mul_(kept)
                sums = slopes.sum(dim=-1, keepdim=True)
                torch.addcmul(slopes @ directions, x, sums, value=square, out=dx)
                dtop[unit] -= sums.sum(dim=-2, keepdim=True)

        with torch.autocast(q.device.type, enabled=False):
            for_units(back, q, directions)
            groups = [slice(None)] if ctx.together else [slice(c, c + 1) for c in range(len(k))]
            for group in groups:
                place, feature = of_top(k[group], tops[group], directions)
                dk[group][place] += dtop[group].sum() * directions[feature]
        return dq, dk, dv, None, None


def gathered(k: Tensor, v: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """What keys hand on but for EPSILON, less the largest exponent; the largest of each piece."""
    tops: list[Tensor] = []
    values = total = k.new_zeros(())
    top = k.new_full((1, 1), -torch.inf)
    for x, y in zip(pieces(k), pieces(v), strict=True):
        projected = x @ directions.mT
        tops.append(projected.amax(dim=(-2, -1)))
        larger = torch.maximum(top, tops[-1][..., None, None])
        kept, less = exponential(projected, x, larger).mT, torch.exp(top - larger)
        values, total = values * less + kept @ y, total * less + kept.sum(dim=-1, keepdim=True)
        top = larger
    return torch.cat([values, total], dim=-1), torch.stack(tops, dim=-1)


def exponential(projected: Tensor, x: Tensor, top: Tensor) -> Tensor:
    """Positive features of the softmax kernel (Choromanski et al. 2021), save EPSILON.

    `projected`, positions x features, is overwritten.
    """
    half = (x**2).sum(dim=-1, keepdim=True) * (x.shape[-1] ** -0.5 / 2)
    return projected.sub_(half + top).exp_()


def ones(x: Tensor) -> Tensor:
    """A column."""
    return x.new_ones(1).expand(*x.shape[:-1], 1)


def of_top(k: Tensor, tops: Tensor, directions: Tensor) -> tuple[tuple[int, int, int], int]:
    """Where the largest exponent of some cells' keys is: (cell, head, position), and feature."""
    at = int(tops.argmax())
    (cell, head), piece = divmod(at // tops.shape[2], tops.shape[1]), at % tops.shape[2]
    some = pieces(k[cell, head])
    within = int((some[piece] @ directions.mT).argmax())
    position, feature = divmod(within, len(directions))
    return (cell, head, piece * len(some[0]) + position), feature


def pieces(x: Tensor) -> tuple[Tensor, ...]:
    """Positions in order, some at a time on a CPU."""
    return x.split(x.shape[-2] if x.is_cuda else POSITIONS, dim=-2)


def for_units(work: Callable[[Any], None], q: Tensor, directions: Tensor) -> None:
    """Every head of every cell, by its index; on a GPU many at once, as slices."""
    cells, heads, n, _ = q.shape
    if not q.is_cuda:
        units = list(itertools.product(range(cells), range(heads)))
        return side_by_side(work, units, torch.get_num_threads())
    at_once = max(1, ON_GPU // (cells * n * len(directions)))
    for start in range(0, heads, at_once):
        work((slice(None), slice(start, start + at_once)))
    return None
