"""Cross-entropy, however the labels are written."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sortograph.recipe import Train


def class_weights(train: Train, labels: NDArray[np.int64], classes: int) -> Tensor | None:
    """N / (C · count) for each class, float32 (C,); None when all count the same."""
    if train.class_weights == "none":
        return None
    counts = np.bincount(labels, minlength=classes).clip(min=1)
    return torch.from_numpy((len(labels) / (classes * counts)).astype(np.float32))


def targets(train: Train, labels: Tensor, classes: int) -> Tensor:
    """Labels int64 (N,) → shares float32 (N, C), smoothed as the recipe says; rows sum to 1."""
    shares = F.one_hot(labels, classes).float()
    return shares * (1 - train.label_smoothing) + train.label_smoothing / classes


def loss_of(train: Train, logits: Tensor, shares: Tensor, weights: Tensor | None) -> Tensor:
    """The mean cross-entropy in nats, weighted by class.

    logits and shares float32 (N, C). The three ways to write labels give the same value and gradients:
    "int" and "one-hot" through a softmax over C classes, "binary" through the sigmoid of a difference.
    """
    if train.labels == "binary":
        margin = logits[:, 1] - logits[:, 0]
        each = F.binary_cross_entropy_with_logits(margin, shares[:, 1], reduction="none")
    elif train.labels == "int" and weights is None and _are_pure(train, shares):
        return F.cross_entropy(logits, shares.argmax(dim=1))
    else:
        each = F.cross_entropy(logits, shares, reduction="none")
    if weights is None:
        return each.mean()
    counted = shares @ weights
    return (each * counted).sum() / counted.sum()


def _are_pure(train: Train, shares: Tensor) -> bool:
    return train.label_smoothing == 0 and bool((shares.amax(dim=1) == 1).all())
