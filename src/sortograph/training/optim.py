"""Optimisers with the settings of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from sortograph.lazy import importing
from sortograph.recipe import Train

_BETAS = (0.9, 0.999)


@dataclass(frozen=True, slots=True)
class Part:
    """Weights of a network that are taught at one rate, which is `factor` times that of the run."""

    name: str
    factor: float
    weights: tuple[nn.Parameter, ...]


@runtime_checkable
class Parted(Protocol):
    """A network that says which of its weights are taught, and at what rates."""

    def parts(self) -> Sequence[Part]: ...


def make_optimiser(train: Train, network: nn.Module) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over all weights, or over those of the parts of a network that has parts.

    AdamW decays matrices and filters alone, as is usual.
    """
    whole = (Part("network", 1.0, tuple(network.parameters())),)
    parts = network.parts() if isinstance(network, Parted) else whole
    groups = [group for part in parts for group in _groups(train, part)]
    # Fused: one pass over the weights in the place of ten.
    with importing():  # the first optimiser of a process loads torch._dynamo
        if train.optimiser == "sgd":
            return torch.optim.SGD(groups, lr=train.learning_rate, momentum=train.momentum, fused=True)
        kind = torch.optim.AdamW if train.optimiser == "adamw" else torch.optim.Adam
        return kind(groups, lr=train.learning_rate, betas=_BETAS, eps=train.epsilon, fused=True)


def _groups(train: Train, part: Part) -> list[dict[str, Any]]:
    flat = [weight for weight in part.weights if weight.ndim <= 1]
    large = [weight for weight in part.weights if weight.ndim > 1]
    decay = 0.0 if train.optimiser == "adamw" else train.weight_decay
    return [
        {"params": large, "weight_decay": train.weight_decay, "factor": part.factor},
        {"params": flat, "weight_decay": decay, "factor": part.factor},
    ]


def prepare_step(optimiser: torch.optim.Optimizer, train: Train, rate: float, step: int) -> None:
    """Set what step number `step` (from 0) needs.

    Keras adds epsilon before it corrects the bias of the second moment, torch after it (Kingma & Ba 2015,
    arXiv:1412.6980, the note at the end of section 2): a larger epsilon in the first steps makes them equal.
    """
    epsilon = train.epsilon / (1 - _BETAS[1] ** (step + 1)) ** 0.5
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
        if "eps" in group:
            group["eps"] = epsilon


def layers_of(network: nn.Module) -> dict[str, str]:
    """Name of a parameter → the layer that it is in, or its part in a network of parts."""
    if isinstance(network, Parted):
        part_of = {id(weight): part.name for part in network.parts() for weight in part.weights}
        return {name: part_of.get(id(weight), "") for name, weight in network.named_parameters()}
    return {name: name.rpartition(".")[0] for name, _ in network.named_parameters()}
