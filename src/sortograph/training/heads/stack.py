"""K copies of one head as one: the same layers, every array with a leading axis of K."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sortograph.models.head import HeadPlan
from sortograph.models.layers import EPSILON, STATISTICS, Activation, BatchNorm, Dense, Dropout
from sortograph.recipe import Train

_BETAS = (0.9, 0.999)
_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True, slots=True)
class Teaching:
    """One step: which photos count in which copy, float32 (K, B), and what dropout is seeded with."""

    counts: Tensor
    dropout_seed: int


class Stack:
    """`arrays`: name → float32 (K, …), of dense layers (K, inputs, units)."""

    def __init__(self, plan: HeadPlan, copies: int, seed: int) -> None:
        """All copies start alike, by Glorot uniform weights (Glorot & Bengio 2010, AISTATS, equation 16)."""
        self.plan, self.copies = plan, copies
        generator = torch.Generator().manual_seed(seed)
        self.arrays: dict[str, Tensor] = {}
        for name, shape in plan.weights().items():
            if len(shape) == 2:
                limit = math.sqrt(6 / sum(shape))
                value = torch.empty(shape).uniform_(-limit, limit, generator=generator).T
            else:
                value = torch.full(shape, float(name.endswith("running_var") or _is_gain(name)))
            self.arrays[name] = value.expand(copies, *value.shape).contiguous()
        for name in self.taught:
            self.arrays[name].requires_grad_(True)

    @property
    def taught(self) -> list[str]:
        """Names of the arrays that gradients change."""
        return [name for name in self.arrays if not name.endswith(STATISTICS)]

    def __call__(self, x: Tensor, teaching: Teaching | None = None, some: slice = slice(None)) -> Tensor:
        """Logits (K, B, C) of embeddings (B, D); of the copies `some` alone while nothing is taught."""
        copies = len(range(self.copies)[some])
        x = x.expand(copies, *x.shape)
        for layer in self.plan.layers:
            match layer:
                case Dense():
                    weight, bias = (self.arrays[name][some] for name in layer.weights())
                    x = torch.baddbmm(bias[:, None], x, weight)
                case Activation(kind=kind):
                    x = _ACTIVATIONS[kind](x)
                case BatchNorm():
                    x = self._normalised(layer, x, teaching, some)
                case Dropout() if teaching is not None:
                    x = x * _kept(x.shape[1:], layer, teaching.dropout_seed)
        return x

    def _normalised(self, layer: BatchNorm, x: Tensor, teaching: Teaching | None, some: slice) -> Tensor:
        weight, bias, mean, variance = (self.arrays[name][some, None] for name in layer.weights())
        if teaching is not None:
            mean, variance = self._moments(layer, x, teaching.counts)
        return (x - mean) * (weight / (variance + EPSILON).sqrt()) + bias

    def _moments(self, layer: BatchNorm, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the photos that count, (K, 1, units); the running ones follow."""
        held = (counts > 0).float()[:, :, None]
        number = held.sum(1, keepdim=True)
        mean = (held * x).sum(1, keepdim=True) / number.clamp(min=1)
        variance = (held * (x - mean) ** 2).sum(1, keepdim=True) / number.clamp(min=1)
        share = layer.momentum * (number > 1).float()
        unbiased = variance * number / (number - 1).clamp(min=1)
        with torch.no_grad():
            for name, now in zip(STATISTICS, (mean, unbiased), strict=True):
                self.arrays[f"{layer.name}.{name}"].lerp_(now[:, 0], share[:, 0].expand_as(now[:, 0]))
        return mean, variance

    def norms(self) -> dict[str, Tensor]:
        """L2 norm of the gradient of each layer, (K,)."""
        squares: dict[str, Tensor] = {}
        for name in self.taught:
            gradient = self.arrays[name].grad
            assert gradient is not None
            layer = name.rpartition(".")[0]
            square = gradient.flatten(1).square().sum(dim=1)
            squares[layer] = squares[layer] + square if layer in squares else square
        return {layer: square.sqrt() for layer, square in squares.items()}

    def clip(self, largest: float) -> None:
        """Shorten the gradients of each copy to `largest`, all arrays together, as torch does."""
        whole = torch.stack([norm.square() for norm in self.norms().values()]).sum(dim=0).sqrt()
        factor = (largest / (whole + 1e-6)).clamp(max=1)
        for name in self.taught:
            gradient = self.arrays[name].grad
            assert gradient is not None
            gradient *= factor.view(-1, *(1 for _ in gradient.shape[1:]))

    def copy_of(self, number: int) -> dict[str, NDArray[Any]]:
        """The arrays of one copy, as `models.head` has them."""
        made = {name: value[number].detach().clone().numpy() for name, value in self.arrays.items()}
        return {name: np.ascontiguousarray(value.T) for name, value in made.items()}


def _is_gain(name: str) -> bool:
    return name.startswith("bn") and name.endswith(".weight")


def _kept(shape: Sequence[int], layer: Dropout, seed: int) -> Tensor:
    """0 for what is left out, else what keeps the mean: (B, units), the same for all copies."""
    philox = np.random.Philox(key=np.array([seed, layer.number], dtype=np.uint64))
    draws = np.random.Generator(philox).random(tuple(shape), dtype=np.float32)
    return torch.from_numpy((draws >= layer.rate).astype(np.float32) / np.float32(1 - layer.rate))


class Optimiser:
    """SGD, Adam or AdamW as `training.optim` has them; each copy has its own rate and weight decay."""

    def __init__(self, train: Train, stack: Stack, decays: Sequence[float]) -> None:
        self._train, self._stack = train, stack
        self._decays = torch.tensor(decays, dtype=torch.float32)
        self._moments = {name: _zeros(stack.arrays[name]) for name in stack.taught}
        self._squares = {
            name: _zeros(stack.arrays[name]) for name in stack.taught if train.optimiser != "sgd"
        }

    @torch.no_grad()
    def step(self, rates: Sequence[float], number: int) -> None:
        """Step number `number`, from 0, with `rates` (K,)."""
        rate = torch.tensor(rates, dtype=torch.float32)
        for name in self._stack.taught:
            weight = self._stack.arrays[name]
            assert weight.grad is not None
            shape = (-1, *(1 for _ in weight.shape[1:]))
            self._decay(weight, weight.grad, rate.view(shape), self._decays.view(shape))
            if self._train.optimiser == "sgd":
                moved = self._moments[name].mul_(self._train.momentum).add_(weight.grad)
                weight -= rate.view(shape) * moved
            else:
                weight -= rate.view(shape) * self._adam(name, weight.grad, number + 1)
            weight.grad = None

    def _decay(self, weight: Tensor, gradient: Tensor, rate: Tensor, decay: Tensor) -> None:
        if self._train.optimiser != "adamw":
            gradient += decay * weight
        elif weight.ndim > 2:  # matrices alone
            weight *= 1 - rate * decay

    def _adam(self, name: str, gradient: Tensor, number: int) -> Tensor:
        """Kingma & Ba 2015, arXiv:1412.6980, with epsilon where Keras has it: before the bias correction."""
        first, second = _BETAS
        moment = self._moments[name].lerp_(gradient, 1 - first)
        square = self._squares[name].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (1 - second**number) ** 0.5 / (1 - first**number)
        moved: Tensor = moment * scale / (square.sqrt() + self._train.epsilon)
        return moved


def _zeros(array: Tensor) -> Tensor:
    return torch.zeros_like(array, requires_grad=False)
