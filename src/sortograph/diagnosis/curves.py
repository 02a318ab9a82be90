"""What can be read off curves, with the noise of the photos that they were measured on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sortograph.records import EvaluationResult

Values = NDArray[np.float64]
_SPREAD = 2.0  # standard deviation of a photo's loss over its mean, where nothing is known of it
_Z95 = 1.96


def smoothed(values: Values, width: int) -> Values:
    """Centred mean over `width` (odd) values, fewer at the ends; float64 (N,).

    >>> smoothed(np.array([1.0, 3.0, 5.0, 7.0]), 3).tolist()
    [2.0, 3.0, 5.0, 6.0]
    """
    half = width // 2
    return np.array([values[max(0, k - half) : k + half + 1].mean() for k in range(len(values))])


def window(epochs: int) -> int:
    """Epochs that are taken together: a tenth of all, odd, at least three.

    >>> window(20), window(60)
    (3, 7)
    """
    return max(3, epochs // 10 // 2 * 2 + 1)


def loss_spread(result: EvaluationResult | None) -> float:
    """Standard deviation of a photo's loss over the mean loss; that of the kept epoch stands for all."""
    loss = None if result is None else result.metrics.get("log_loss")
    if loss is None or loss.value <= 0 or loss.n < 2 or loss.high <= loss.value:
        return _SPREAD
    deviation = (loss.high - loss.value) / _Z95 * math.sqrt(loss.n)
    return max(1.0, deviation / loss.value)


def loss_error(loss: float, photos: int, spread: float) -> float:
    """Standard error of a mean loss over that many photos."""
    return spread * loss / math.sqrt(max(1, photos))


def epoch_error(losses: Values, photos: int) -> Values:
    """What order and augmentation do to the mean loss of an epoch, at the most.

    The deviation of a photo's loss is about 0.8 times the root of the mean, whatever the network.
    """
    return np.asarray(0.8 * np.sqrt(losses / max(1, photos)))


def accuracy_error(accuracy: float, photos: int) -> float:
    """Binomial standard error, at no point below that of one photo wrong.

    >>> round(accuracy_error(0.9, 100), 3)
    0.03
    """
    inner = min(max(accuracy, 1 / max(2, photos)), 1 - 1 / max(2, photos))
    return math.sqrt(inner * (1 - inner) / max(1, photos))


def rises(values: Values) -> Values:
    """By how much each value lies above the one before; 0 for the first and where it falls."""
    return np.maximum(0.0, np.diff(values, prepend=values[:1]))


def entropy(counts: NDArray[np.int64]) -> float:
    """Nats: the loss of a network that has learned nothing but how frequent the classes are.

    >>> round(entropy(np.array([10, 10, 10, 10])), 4)
    1.3863
    """
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
