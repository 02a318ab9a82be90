"""Exact limits for shares, from the binomial distribution itself."""

from __future__ import annotations

import math

_STEPS = 50  # of a bisection: beyond what a double resolves


def chance_of_at_most(count: int, n: int, rate: float) -> float:
    """P(X ≤ count) for X binomial (n, rate), 0–1.

    >>> round(chance_of_at_most(1, 10, 0.1), 4)
    0.7361
    """
    if count >= n or rate <= 0:
        return 1.0 if count >= 0 else 0.0
    if count < 0 or rate >= 1:
        return 0.0
    if count > n // 2:  # the shorter tail
        return max(0.0, 1.0 - chance_of_at_most(n - count - 1, n, 1 - rate))
    step = math.log(rate) - math.log1p(-rate)
    logs = [n * math.log1p(-rate)]
    for k in range(1, count + 1):
        logs.append(logs[-1] + math.log((n - k + 1) / k) + step)
    return min(1.0, math.fsum(map(math.exp, logs)))


def upper_limit(count: int, n: int, alpha: float) -> float:
    """The largest rate that `count` of n does not refute at `alpha`, one-sided; 0–1.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934), 404–413. Raises ValueError for a count outside 0–n or alpha outside 0–1.

    >>> round(upper_limit(0, 149, 0.05), 4)
    0.0199
    """
    if n < 1 or not 0 <= count <= n or not 0 < alpha < 1:
        raise ValueError(f"{count} of {n} at {alpha} has no limit")
    if count == n:
        return 1.0
    if count == 0:
        return -math.expm1(math.log(alpha) / n)
    low, high = count / n, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if chance_of_at_most(count, n, middle) > alpha:
            low = middle
        else:
            high = middle
    return high


def exact_limits(count: int, n: int, level: float) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval (low, high). Raises ValueError as `upper_limit` does.

    >>> [round(end, 3) for end in exact_limits(29, 30, 0.95)]
    [0.828, 0.999]
    """
    alpha = (1 - level) / 2
    return 1 - upper_limit(n - count, n, alpha), upper_limit(count, n, alpha)
