"""Max pooling of squares of two by two, in vectors: torch itself goes through bfloat16 value by value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# As much as stays in the caches of two cores from one pass over it to the next.
_BLOCK = 2 * 2**20


def max_pool(x: Tensor, size: int, *, rectified: bool = False) -> Tensor:
    """`F.max_pool2d(x, size)`, then `F.relu` where it shall be rectified.

    (N, C, H, W) → (N, C, ⌊H/size⌋, ⌊W/size⌋), of the same type. Values are those of torch; so are gradients
    where what is pooled is finite, but that of zeros of both signs in one square, any may get it. Quick on a
    CPU for bfloat16 in channels-last memory that wants a gradient, by squares of two, where a rectified NaN
    of negative sign may be 0; else torch's own.
    """
    if size == 2 and _pays(x):
        made: Tensor = _PoolPairs.apply(x, rectified)
        return made
    pooled = F.max_pool2d(x, size)
    return F.relu(pooled, inplace=True) if rectified else pooled


def _pays(x: Tensor) -> bool:
    """Elsewhere torch is as quick."""
    return (
        x.requires_grad
        and x.numel() > 0
        and x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and min(x.shape[2:]) >= 2
        and x.is_contiguous(memory_format=torch.channels_last)
    )


class _PoolPairs(torch.autograd.Function):
    """The larger of each two neighbours in a row, then of each two rows.

    Where both are equal, the first is the larger: so the gradient goes to where torch sends it. Which it was
    is remembered as 1 or 0 in integers as wide as the values, by which their bits can be multiplied. What
    shall be rectified is compared as integers, too, which is several times as quick: bits of positive numbers
    are in their order, and of others any may be the larger, as it becomes 0.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rectified: bool) -> Tensor:
        photos, channels, height, width = x.shape
        rows, columns = height // 2, width // 2
        ctx.shape = x.shape
        made = torch.empty(
            (photos, channels, rows, columns), dtype=x.dtype, memory_format=torch.channels_last
        )
        is_left = torch.empty((photos, 2 * rows, columns, channels), dtype=torch.int16)
        is_top = torch.empty((photos, rows, columns, channels), dtype=torch.int16)
        kind = torch.int16 if rectified else x.dtype  # of what is compared
        left, right = _columns(x.permute(0, 2, 3, 1).view(kind))
        block = _block(x)
        wider = torch.empty((block, *is_left.shape[1:]), dtype=kind)
        for start in range(0, photos, block):
            some = slice(start, start + block)
            largest, pooled = wider[: len(is_top[some])], made.permute(0, 2, 3, 1)[some].view(kind)
            torch.maximum(left[some], right[some], out=largest)
            torch.eq(left[some].view(torch.int16), largest.view(torch.int16), out=is_left[some])
            top, bottom = largest[:, 0::2], largest[:, 1::2]
            torch.maximum(top, bottom, out=pooled)
            torch.eq(top.view(torch.int16), pooled.view(torch.int16), out=is_top[some])
            if rectified:
                pooled.clamp_min_(0)
        ctx.save_for_backward(is_left, is_top, *([made] if rectified else []))
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        is_left, is_top, *rectified = ctx.saved_tensors
        photos, _, height, width = ctx.shape
        made = torch.empty(ctx.shape, dtype=gradient.dtype, memory_format=torch.channels_last)
        bits = made.permute(0, 2, 3, 1).view(torch.int16)
        left, right = _columns(bits)
        bits[:, 2 * (height // 2) :] = 0
        bits[:, :, 2 * (width // 2) :] = 0
        given = gradient.permute(0, 2, 3, 1).view(torch.int16)
        positive = [one.permute(0, 2, 3, 1).view(torch.int16) for one in rectified]
        block = _block(made)
        wider = torch.empty((block, *is_left.shape[1:]), dtype=torch.int16)
        for start in range(0, photos, block):
            some = slice(start, start + block)
            pairs = wider[: len(is_top[some])]
            top, bottom = pairs[:, 0::2], pairs[:, 1::2]
            passed = given[some]
            for one in positive:
                passed = torch.gt(one[some], 0, out=torch.empty_like(passed)).mul_(passed)
            torch.mul(passed, is_top[some], out=top)
            torch.sub(passed, top, out=bottom)
            torch.mul(pairs, is_left[some], out=left[some])
            torch.sub(pairs, left[some], out=right[some])
        return made, None


def _columns(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of (N, H, W, C): the first of each pair of columns, and the second; nothing of what is left over."""
    _, height, width, _ = x.shape
    whole = x[:, : 2 * (height // 2), : 2 * (width // 2)]
    return whole[:, :, 0::2], whole[:, :, 1::2]


def _block(x: Tensor) -> int:
    return max(1, _BLOCK // (x[0].numel() * x.itemsize))
