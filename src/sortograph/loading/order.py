"""Randomness without a history: every draw is a function of (seed, purpose, epoch, …) alone.

Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC11) is a counter-based generator:
it can be started anywhere at no cost, and gives the same numbers on every machine.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """Keeps the draws of one purpose apart from those of another with the same seed."""

    ORDER = 1
    AUGMENT = 2
    MIXUP = 3
    DROPOUT = 4
    CUTMIX = 5


def generator(seed: int, purpose: Purpose, epoch: int, step: int = 0) -> np.random.Generator:
    """A generator of its own for each combination; seed below 2³², epoch and step below 2³²."""
    key = np.array([(seed << 8) | purpose, (epoch << 32) | step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def order(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The rows of one epoch, shuffled, int64 (N,).

    >>> rows = np.arange(5)
    >>> bool((order(rows, 1, 3) == order(rows, 1, 3)).all())
    True
    """
    return generator(seed, Purpose.ORDER, epoch).permutation(rows)


def dropout_seed(seed: int, epoch: int, step: int) -> int:
    """What dropout is seeded with at one step, within 0 … 2⁶³ − 1."""
    return int(generator(seed, Purpose.DROPOUT, epoch, step).integers(2**63))
