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

    logits and shares float32 (N, C). Labels that are whole classes give the same value and gradients, to
    the bit, however they are written: as numbers, rows of shares, or the share of the second of two classes.
    """
    if train.labels == "int" and _are_pure(train, shares):
        each = F.cross_entropy(logits, shares.argmax(dim=1), reduction="none")
    elif train.labels == "binary":
        # The softmax of two logits is the sigmoid of their difference, but for the last bits.
        second = shares[:, 1]
        each = F.cross_entropy(logits, torch.stack([1 - second, second], dim=1), reduction="none")
    else:
        each = F.cross_entropy(logits, shares, reduction="none")
    if weights is None:
        return each.mean()
    counted = shares @ weights
    return (each * counted).sum() / counted.sum()


def _are_pure(train: Train, shares: Tensor) -> bool:
    return train.label_smoothing == 0 and bool((shares.amax(dim=1) == 1).all())
