"""Sets of classes that hold the true one as often as they promise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sortograph.records import ConformalRow

LEVELS = (0.9, 0.95, 0.99)


def conformal_table(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], levels: tuple[float, ...] = LEVELS
) -> tuple[ConformalRow, ...]:
    """For each level the least probability at which a class belongs to the set of a photo.

    probabilities: float64 (N, C), of photos that nothing was chosen by; labels: int64 (N,)

    Split conformal prediction with the score 1 − p of the true class (Sadinle, Lei, Wasserman, "Least
    ambiguous set-valued classifiers with bounded error levels", JASA 114 (2019), 223–234): over photos like
    these, the share of sets that hold the true class is at least the level, on average over the draw of the
    photos. With too few photos a set holds every class: its threshold is 0.
    """
    n = len(labels)
    own = np.sort(probabilities[np.arange(n), labels])
    return tuple(_row(level, own) for level in levels)


def _row(level: float, own: NDArray[np.float64]) -> ConformalRow:
    n = len(own)
    # The k-th largest score 1 − p is the k-th smallest from the top of p.
    k = math.ceil(round((n + 1) * level, 9))
    threshold = float(own[n - k]) if k <= n else 0.0
    return ConformalRow(level, threshold, n)
