"""Optimisers with the settings of a recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sortograph.recipe import Train

_BETAS = (0.9, 0.999)


def make_optimiser(train: Train, network: nn.Module) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over all weights; AdamW decays matrices and filters alone, as is usual."""
    flat = [weight for weight in network.parameters() if weight.ndim <= 1]
    large = [weight for weight in network.parameters() if weight.ndim > 1]
    decay = 0.0 if train.optimiser == "adamw" else train.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": large, "weight_decay": train.weight_decay},
        {"params": flat, "weight_decay": decay},
    ]
    # Fused: one pass over the weights in the place of ten.
    if train.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=train.learning_rate, momentum=train.momentum, fused=True)
    kind = torch.optim.AdamW if train.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=train.learning_rate, betas=_BETAS, eps=train.epsilon, fused=True)


def prepare_step(optimiser: torch.optim.Optimizer, train: Train, rate: float, step: int) -> None:
    """Set what step number `step` (from 0) needs.

    Keras adds epsilon before it corrects the bias of the second moment, torch after it (Kingma & Ba 2015,
    arXiv:1412.6980, the note at the end of section 2): a larger epsilon in the first steps makes them equal.
    """
    epsilon = train.epsilon / (1 - _BETAS[1] ** (step + 1)) ** 0.5
    for group in optimiser.param_groups:
        group["lr"] = rate
        if "eps" in group:
            group["eps"] = epsilon
