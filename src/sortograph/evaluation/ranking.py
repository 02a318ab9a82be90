"""How well scores put the photos of a class before the others: AUROC and average precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.intervals import score_limits, z_value
from sortograph.records import Estimate

_STEPS = 40
Mask = NDArray[np.bool_]


def auroc(
    scores: NDArray[np.float64], positive: Mask, groups: NDArray[np.int64] | None = None, level: float = 0.95
) -> Estimate:
    """Probability that a photo of the class has a higher score than another one; ties count half.

    scores: float64 (N,); positive: bool (N,), at least one of each kind
    groups: int64 (N,), photos that belong together; each group then counts as one photo in the interval

    The interval is Newcombe's method 5, "Confidence intervals for an effect size measure based on the
    Mann–Whitney statistic. Part 2", Statistics in Medicine 25 (2006), 559–573: it does not collapse at 1.
    Raises ValueError where all photos are of one kind.

    >>> auroc(np.array([0.9, 0.8, 0.4, 0.1]), np.array([True, False, True, False])).value
    0.75
    """
    hits, others = int(positive.sum()), int((~positive).sum())
    if not hits or not others:
        raise ValueError("photos of the class and others are needed")
    ranks = _mid_ranks(scores)
    value = float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others))
    counts = (_units(positive, groups), _units(~positive, groups))
    return Estimate(value, *_limits(value, counts, level), level, len(scores), "newcombe, mann-whitney")


def average_precision(
    scores: NDArray[np.float64], positive: Mask, groups: NDArray[np.int64] | None = None, level: float = 0.95
) -> Estimate:
    """Mean of the precisions at which each photo of the class is found, as scores fall; 0–1.

    As `auroc`, with at least one photo of the class. The interval is that of a share of the photos of the
    class (the binomial interval of Boyd, Eng, Page, "Area under the precision-recall curve: point estimates
    and confidence intervals", ECML 2013, in Wilson's form); `n` counts all photos.
    Raises ValueError where no photo is of the class.

    >>> round(average_precision(np.array([0.9, 0.8, 0.4]), np.array([True, False, True])).value, 3)
    0.833
    """
    hits = int(positive.sum())
    if not hits:
        raise ValueError("photos of the class are needed")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(positive[order])
    last = np.append(
        np.flatnonzero(np.diff(scores[order])), len(scores) - 1
    )  # photos of one score come together
    precision = found[last] / (last + 1)
    value = float(np.diff(found[last], prepend=0) @ precision / hits)
    value = min(1.0, value)
    return Estimate(
        value, *score_limits(value, _units(positive, groups), level), level, len(scores), "wilson"
    )


def _units(chosen: Mask, groups: NDArray[np.int64] | None) -> int:
    return int(chosen.sum()) if groups is None else len(np.unique(groups[chosen]))


def _mid_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties share their mean: float64 (N,)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[place]
    return ranks


def _limits(value: float, counts: tuple[int, int], level: float) -> tuple[float, float]:
    z = z_value(level)

    def reach(at: float) -> float:
        m, n = counts
        spread = 1 + ((m + n) / 2 - 1) * ((1 - at) / (2 - at) + at / (1 + at))
        return z * math.sqrt(max(0.0, at * (1 - at) * spread / (m * n)))

    low = 0.0 if value == 0 else _crossing(value, 0.0, reach)
    high = 1.0 if value == 1 else _crossing(value, 1.0, reach)
    return low, high


def _crossing(value: float, end: float, reach: Callable[[float], float]) -> float:
    """Between the value and 0 or 1: where it lies just as far off as chance would bring it."""
    inside, outside = value, end
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        if abs(value - middle) <= reach(middle):
            inside = middle
        else:
            outside = middle
    return inside
