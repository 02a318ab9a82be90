"""A plan as a torch module."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sortograph.models.layers import (
    EPSILON,
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Pool,
    Residual,
    flat,
)
from sortograph.models.onednn import convolve, leading
from sortograph.models.plan import OUTPUT, Plan
from sortograph.records import PreprocessSpec


class Network(nn.Module):
    """The layers of a plan, with normalisation of the pixels in front.

    Arrays are named `<layer>.weight` and so on, as `plan.weights()` lists them. Their values are not set
    here: `build` draws them, `load_state_dict` copies them.
    """

    scale: Tensor
    offset: Tensor
    dropout_seed = 0
    """Decides, together with a layer's number, what dropout leaves out; below 2⁶³, new for each step."""

    def __init__(self, plan: Plan, preprocess: PreprocessSpec) -> None:
        super().__init__()
        self.plan = plan
        for layer in flat(plan.layers):
            if (module := _module(layer)) is not None:
                self.add_module(module[0], module[1])
        for name, values in zip(("scale", "offset"), preprocess.affine(), strict=True):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, photos: Tensor) -> Tensor:
        """Logits, float32 (N, C).

        photos: (N, 3, H, W) of the plan's size, uint8 or float32 in 0–255
        """
        logits: Tensor = self.get_submodule(OUTPUT)(self.embed(photos)).float()
        # One output z tells two classes: the softmax of [0, z] is [1 - sigmoid(z), sigmoid(z)].
        return F.pad(logits, (1, 0)) if self.plan.sigmoid else logits

    def embed(self, photos: Tensor) -> Tensor:
        """What the last layer takes: (N, D), float32 or the type of an autocast around it."""
        layers = self.plan.layers[:-1]
        x = torch.addcmul(self.offset, photos.to(self.scale.dtype), self.scale)
        if isinstance(layers[0], Conv) and torch.is_autocast_enabled(x.device.type):
            # What the convolution would do next; now there is half as much to bring into its order.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        if count := leading(layers, x, training=self.training):
            x = self._run(layers[:count], x.to_mkldnn()).to_dense()
        return self._run(layers[count:], x.contiguous(memory_format=torch.channels_last))

    def _run(self, layers: Sequence[Layer], x: Tensor) -> Tensor:
        for number, layer in enumerate(layers):
            # The first layer of a residual unit shares its input with the shortcut, and oneDNN's pooling
            # wants to see again what it gave.
            kept = number == 0 or (x.is_mkldnn and isinstance(layers[number - 1], Pool))
            x = self._step(layer, x, inplace=not kept)
        return x

    def _step(self, layer: Layer, x: Tensor, inplace: bool) -> Tensor:
        match layer:
            case Conv() if x.is_mkldnn:
                return convolve(self.get_submodule(layer.name), x)
            case Conv() | BatchNorm():
                made: Tensor = self.get_submodule(layer.name)(_padded(layer, x))
                return made
            case Dense():
                return _dense(self.get_submodule(layer.name), x)
            case Activation(kind=kind):
                return F.relu(x, inplace=inplace) if kind == "relu" else _ACTIVATIONS[kind](x)
            case Pool(size=size):
                return F.max_pool2d(x, size, size)
            case GlobalPool():
                return x.mean((2, 3))
            case Flatten():
                return x.permute(0, 2, 3, 1).flatten(1)  # of channels-last memory, a view
            case Dropout(rate=rate, number=number):
                return _dropped(x, rate, (self.dropout_seed, number)) if self.training else x
            case Residual(body=body, shortcut=shortcut):
                return self._run(shortcut, x) + self._run(body, x)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"silu": F.silu, "gelu": F.gelu, "tanh": torch.tanh}


def build(
    plan: Plan, preprocess: PreprocessSpec, initialisation: Literal["keras", "he"], seed: int
) -> Network:
    """A network with first weights that depend on the plan, the initialisation and the seed alone.

    "keras"  Glorot uniform (Glorot & Bengio 2010, AISTATS, equation 16)
    "he"     He normal (He et al. 2015, arXiv:1502.01852, equations 10 and 14): by the outputs of a
             convolution, by the inputs of a dense layer; the last layer gets half that variance
    Biases are 0, batch normalisation starts as the identity. torch's global generator stays as it is.
    """
    network = Network(plan, preprocess)
    generator = torch.Generator().manual_seed(seed)
    draw = _glorot_ if initialisation == "keras" else _he_
    with torch.no_grad():
        for module in network.children():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Drawn in plain memory order, then copied: the numbers shall not depend on the layout.
                values = torch.empty(module.weight.shape)
                draw(values, generator, module is network.get_submodule(OUTPUT))
                module.weight.copy_(values)
                if module.bias is not None:
                    module.bias.zero_()
    return network


def _glorot_(weight: Tensor, generator: torch.Generator, last: bool) -> None:  # noqa: ARG001
    fan_in, fan_out = _fans(weight)
    limit = math.sqrt(6 / (fan_in + fan_out))
    weight.uniform_(-limit, limit, generator=generator)


def _he_(weight: Tensor, generator: torch.Generator, last: bool) -> None:
    fan_in, fan_out = _fans(weight)
    variance = (1 if last else 2) / (fan_out if weight.ndim == 4 else fan_in)
    weight.normal_(0, math.sqrt(variance), generator=generator)


def _fans(weight: Tensor) -> tuple[int, int]:
    field = math.prod(weight.shape[2:])
    return weight.shape[1] * field, weight.shape[0] * field


def _module(layer: Layer) -> tuple[str, nn.Module] | None:
    """Name and module of a layer that has weights. Made on the "meta" device, it draws no random numbers."""
    match layer:
        case Conv(padding=(before, after)):
            module = nn.Conv2d(
                layer.channels_in,
                layer.channels,
                layer.kernel,
                stride=layer.stride,
                padding=before if before == after else 0,
                bias=layer.bias,
                device="meta",
            )
            return layer.name, module.to_empty(device="cpu")
        case BatchNorm():
            return layer.name, nn.BatchNorm2d(layer.channels, eps=EPSILON, momentum=layer.momentum)
        case Dense():
            return layer.name, nn.Linear(layer.inputs, layer.units, device="meta").to_empty(device="cpu")
    return None


def _dense(module: nn.Module, x: Tensor) -> Tensor:
    """On a CPU outside of any autocast, which would copy weights of many megabytes at each step.

    oneDNN rounds them as it goes, where it may.
    """
    made: Tensor
    if x.device.type != "cpu":
        made = module(x)
        return made
    with torch.autocast("cpu", enabled=False):
        made = module(x.float())
    return made


def _dropped(x: Tensor, rate: float, seed: tuple[int, int]) -> Tensor:
    """Each value is 0 with probability `rate` in steps of 2⁻¹⁶; the mean stays.

    The draws belong to the seed: torch's global generator is neither asked nor moved. Philox is also several
    times as fast on a CPU.
    """
    threshold = round(rate * 2**16)
    if x.device.type == "cpu":
        raw = np.random.Philox(key=np.array(seed, dtype=np.uint64)).random_raw(-(-x.numel() // 4))
        bits = torch.from_numpy(raw.view(np.int16)[: x.numel()]).view(x.shape)
        kept = torch.ge(bits, threshold - 2**15, out=bits)  # 1 or 0 in integers of two bytes
    else:
        mixed = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))
        generator = torch.Generator(x.device).manual_seed(mixed)
        kept = torch.randint(2**16, x.shape, generator=generator, device=x.device) >= threshold
    factor = torch.tensor(2**16 / (2**16 - threshold), dtype=x.dtype)
    if kept.dtype == torch.int16 and x.dtype == torch.bfloat16:
        # Bits times 1 or 0 are the factor or 0, and no integer is to be made a number.
        return x * (kept * factor.view(torch.int16)).view(x.dtype)
    return x * (kept * factor)


def _padded(layer: Conv | BatchNorm, x: Tensor) -> Tensor:
    """Padding that a convolution of torch cannot do by itself: more below and to the right."""
    if not isinstance(layer, Conv):
        return x
    before, after = layer.padding
    return x if before == after else F.pad(x, (before, after, before, after))
