"""Feature maps in oneDNN's own tensors: its poolings and batch normalisation are quicker than torch's."""

from __future__ import annotations

import functools
import platform
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sortograph.models.layers import Activation, BatchNorm, Conv, Layer, Pool, Residual


def leading(layers: Sequence[Layer], x: Tensor, *, training: bool) -> int:
    """How many of the first layers are to be computed of `x.to_mkldnn()`; 0 where torch is as quick.

    x: a dense tensor (N, C, H, W); training: whether batch normalisation counts, without which oneDNN has no
    gradients of it

    Answers and gradients are those of dense tensors but for the order of sums, and on processors with AMX to
    the bit in bfloat16 as long as nothing is normalised. Poolings and relu of oneDNN's pass over NaN.
    """
    if x.device.type != "cpu" or not x.numel() or not _has_vectors(x.dtype):
        return 0
    if torch.is_grad_enabled() and not training:
        return 0
    count = next((number for number, layer in enumerate(layers) if not _computes(layer)), len(layers))
    return count if any(isinstance(layer, BatchNorm | Pool | Residual) for layer in layers[:count]) else 0


def convolve(module: nn.Module, x: Tensor) -> Tensor:
    """What a convolution makes of a tensor of oneDNN's, (N, C, H, W); by itself, it refuses bfloat16."""
    assert isinstance(module, nn.Conv2d)
    assert not isinstance(module.padding, str)
    bias = None if module.bias is None else module.bias.to(x.dtype)
    sides = (module.padding, module.stride, module.dilation)
    return torch.mkldnn_convolution(x, module.weight, bias, *sides, module.groups)


def _computes(layer: Layer) -> bool:
    match layer:
        case Conv(padding=(before, after)):
            return before == after
        case Activation(kind=kind):
            return kind == "relu"
        case Residual(body=body, shortcut=shortcut):
            return all(map(_computes, (*body, *shortcut)))
    return isinstance(layer, BatchNorm | Pool)


@functools.cache
def _has_vectors(dtype: torch.dtype) -> bool:
    """Whether this processor has all of these operators in vectors."""
    is_built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not is_built or platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
