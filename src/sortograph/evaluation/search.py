"""The least value of a function of one number."""

from __future__ import annotations

import math
from collections.abc import Callable

_GOLDEN = (math.sqrt(5) - 1) / 2


def golden_section(loss: Callable[[float], float], low: float, high: float, steps: int) -> float:
    """Where a function with one valley between low and high is least; each step narrows the place by 0.618.

    Kiefer, "Sequential minimax search for a maximum", Proceedings of the AMS 4 (1953), 502–506.

    >>> round(golden_section(lambda x: (x - 2) ** 2, 0.0, 5.0, 60), 6)
    2.0
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2
