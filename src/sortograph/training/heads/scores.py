"""How good out-of-fold answers are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sortograph.training.heads.task import Floats, Rows


class Score(NamedTuple):
    """value 0–1: accuracy or balanced accuracy; its standard error; log_loss in nats per photo."""

    value: float
    log_loss: float
    error: float

    @property
    def rank(self) -> tuple[float, float]:
        """The better the smaller: the log loss decides among equal values."""
        return -self.value, self.log_loss


def score(logits: Floats, labels: Rows, folds: Rows, balanced: bool) -> Score:
    """
    logits (N, C), labels and folds (N,)

    The standard error is that of a mean over folds as if they were independent, which they are not quite
    (Bengio & Grandvalet 2004, JMLR 5): it says how much the figure wavers, and tests nothing.
    """
    right = logits.argmax(axis=1) == labels
    parts = [
        _rate(right[chosen], labels[chosen], balanced)
        for fold in np.unique(folds)
        if (chosen := folds == fold).any()
    ]
    error = float(np.std(parts, ddof=1) / np.sqrt(len(parts))) if len(parts) > 1 else 0.0
    return Score(_rate(right, labels, balanced), log_loss(logits, labels), error)


def log_loss(logits: Floats, labels: Rows) -> float:
    """Mean cross-entropy in nats of logits (N, C), computed in double precision."""
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    losses = np.log(np.exp(exact).sum(axis=1)) - exact[np.arange(len(labels)), labels]
    return float(losses.mean())


def _rate(right: np.ndarray, labels: Rows, balanced: bool) -> float:
    """The share of right answers, or its mean over the classes that have photos."""
    if not balanced:
        return float(right.mean())
    counts = np.bincount(labels)
    hits = np.bincount(labels, weights=right)
    return float((hits[counts > 0] / counts[counts > 0]).mean())
