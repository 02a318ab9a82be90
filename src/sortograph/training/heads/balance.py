"""How rare classes are made to count, and how their logits come to mean the natural shares again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sortograph.recipe import Head

UNEVEN = 3
"""Classes are uneven where the largest has more than so many times the photos of the smallest."""

Rows = NDArray[np.int64]


def is_uneven(labels: Rows, classes: int) -> bool:
    """
    >>> is_uneven(np.array([0, 0, 0, 1]), 2), is_uneven(np.array([0, 0, 0, 0, 1]), 2)
    (False, True)
    """
    counts = np.bincount(labels, minlength=classes)
    present = counts[counts > 0]
    return bool(len(present) and present.max() > UNEVEN * present.min())


def balances(settings: Head, labels: Rows, classes: int) -> Sequence[str]:
    """The ways that are tried: what the recipe names, or by "auto" all of them where classes are uneven."""
    if settings.balance != "auto":
        return (settings.balance,)
    return ("none", "class-weights", "sampling") if is_uneven(labels, classes) else ("none",)


def photo_weights(labels: Rows, balance: str, classes: int) -> NDArray[np.float64]:
    """What each photo counts, float64 (N,): 1, or N / (C · count of its class) for classes that are present.

    Sampling draws each class equally often; what it minimises is, in the mean over its draws, the loss with
    these weights.
    """
    if balance == "none":
        return np.ones(len(labels))
    counts = np.bincount(labels, minlength=classes)
    return np.asarray(len(labels) / (np.count_nonzero(counts) * counts[labels]))


def prior(labels: Rows, balance: str, classes: int) -> NDArray[np.float64]:
    """What is added to the logits of a head after balanced teaching, float64 (C,).

    Such a head has learned p(class | photo) for equal shares of the classes. Multiplied by the classes'
    shares among the photos, and scaled to sum to 1, that is the probability for the natural ones (Saerens et
    al. 2002, Neural Computation 14, equation 2.4; Menon et al. 2021, arXiv:2007.07314): the logarithm of the
    share goes to the logits. A class without photos counts as half a photo.
    """
    if balance == "none":
        return np.zeros(classes)
    return log_shares(labels, classes)


def log_shares(labels: Rows, classes: int) -> NDArray[np.float64]:
    """Logarithms of the classes' shares, float64 (C,); at least half a photo for each."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 0.5)
    return np.asarray(np.log(counts / max(1, len(labels))))
