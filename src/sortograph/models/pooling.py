"""Max pooling of squares of two by two, in vectors: torch itself goes through bfloat16 value by value."""

from __future__ import annotations

import math
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
    CPU for bfloat16 in channels-last memory that wants a gradient, by squares of two, where a NaN of negative
    sign, which most are, becomes 0 if it is rectified; else torch's own.
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
        ctx.shape, kind = x.shape, torch.int16 if rectified else x.dtype  # kind: of what is compared
        made = torch.empty(
            (photos, channels, rows, columns), dtype=x.dtype, memory_format=torch.channels_last
        )
        pooled_values = made.permute(0, 2, 3, 1).view(kind)
        is_left = torch.empty((photos, 2 * rows, columns, channels), dtype=torch.int16)
        is_top = torch.empty((photos, rows, columns, channels), dtype=torch.int16)
        left, right = _columns(x.permute(0, 2, 3, 1).view(kind))
        block = _block(x.shape)
        wider = torch.empty((block, *is_left.shape[1:]), dtype=kind)
        blocks = (torch.split(each, block) for each in (left, right, is_left, pooled_values, is_top))
        for some_left, some_right, from_left, pooled, from_top in zip(*blocks, strict=True):
            largest = wider[: len(pooled)]
            torch.maximum(some_left, some_right, out=largest)
            torch.eq(some_left.view(torch.int16), largest.view(torch.int16), out=from_left)
            top, bottom = largest[:, 0::2], largest[:, 1::2]
            torch.maximum(top, bottom, out=pooled)
            torch.eq(top.view(torch.int16), pooled.view(torch.int16), out=from_top)
            if rectified:
                pooled.clamp_min_(0)
        ctx.save_for_backward(is_left, is_top, *([made] if rectified else []))
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        is_left, is_top, *rectified = ctx.saved_tensors
        photos, channels, height, width = ctx.shape
        made = torch.empty((photos, height, width, channels), dtype=torch.int16)
        left, right = _columns(made)
        made[:, 2 * (height // 2) :] = 0
        made[:, :, 2 * (width // 2) :] = 0
        given = gradient.permute(0, 2, 3, 1).view(torch.int16)
        block = _block(ctx.shape)
        wider = torch.empty((block, *is_left.shape[1:]), dtype=torch.int16)
        positive = [one.permute(0, 2, 3, 1).view(torch.int16) for one in rectified]
        narrow = torch.empty((block * len(positive), *is_top.shape[1:]), dtype=torch.int16)
        blocks = (torch.split(each, block) for each in (given, is_left, is_top, left, right, *positive))
        for passed, from_left, from_top, some_left, some_right, *pooled in zip(*blocks, strict=True):
            for one in pooled:
                passed = torch.gt(one, 0, out=narrow[: len(one)]).mul_(passed)
            pairs = wider[: len(passed)]
            top, bottom = pairs[:, 0::2], pairs[:, 1::2]
            torch.mul(passed, from_top, out=top)
            torch.sub(passed, top, out=bottom)
            torch.mul(pairs, from_left, out=some_left)
            torch.sub(pairs, some_left, out=some_right)
        return made.view(gradient.dtype).permute(0, 3, 1, 2), None


def _columns(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of (N, H, W, C): the first of each pair of columns, and the second; nothing of what is left over."""
    _, height, width, _ = x.shape
    whole = x[:, : 2 * (height // 2), : 2 * (width // 2)]
    return whole[:, :, 0::2], whole[:, :, 1::2]


def _block(shape: torch.Size) -> int:
    """Photos in a block, of two bytes a value."""
    return max(1, _BLOCK // (2 * math.prod(shape[1:])))
