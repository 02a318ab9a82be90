"""Feature maps in oneDNN's own tensors: its poolings and batch normalisation are quicker than torch's."""

from __future__ import annotations

import functools
import platform
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sortograph.models.layers import Activation, BatchNorm, Conv, Layer, Pool, Residual


def leading(layers: Sequence[Layer], x: Tensor) -> int:
    """How many of the first layers can be computed of `x.to_mkldnn()`; 0 where torch is as quick.

    What they give and their gradients are torch's own: to the bit in bfloat16 as long as nothing is
    normalised, elsewhere but for the order of sums. Its pooling passes over what is no number (NaN).
    """
    if x.device.type != "cpu" or not x.numel() or not _has_vectors(x.dtype):
        return 0
    return next((number for number, layer in enumerate(layers) if not _computes(layer)), len(layers))


def convolve(layer: Conv, module: nn.Module, x: Tensor) -> Tensor:
    """What the module of this layer gives for a tensor of oneDNN's; by itself, it refuses one of bfloat16."""
    assert isinstance(module, nn.Conv2d)
    bias = None if module.bias is None else module.bias.to(x.dtype)
    padding, stride = [layer.padding[0]] * 2, [layer.stride] * 2
    return torch.mkldnn_convolution(x, module.weight, bias, padding, stride, [1, 1], 1)


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
