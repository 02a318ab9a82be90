"""Confidence intervals, closed form: no draws, so the same counts always give the same interval.

None of them collapses to a point where every photo was right, as resampling does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sortograph.records import Estimate


def wilson(hits: int, n: int, level: float = 0.95) -> Estimate:
    """Share hits / n with Wilson's score interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209–212.
    Raises ValueError for n = 0, hits outside 0–n or a level outside 0–1.

    >>> str(wilson(9, 10))
    '0.900 [0.596, 0.982], n = 10'
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no share")
    z2 = z_value(level) ** 2
    share = hits / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    # At 0 and 1 rounding could leave a limit a hair away from the share itself.
    low = 0.0 if hits == 0 else max(0.0, centre - reach)
    high = 1.0 if hits == n else min(1.0, centre + reach)
    return Estimate(share, low, high, level, n, "wilson")


def f1_score(right: int, wrong: int, level: float = 0.95) -> Estimate:
    """F1 of one class: `right` true positives; `wrong` false positives and false negatives together.

    F1 = 2J / (1 + J) rises with the share J = right / (right + wrong), which is binomial given its count;
    so Wilson's limits of J, carried over, are limits of F1. A class neither met nor predicted has F1 0 and
    the interval [0, 1]. Raises ValueError for negative counts.

    >>> str(f1_score(9, 1))
    '0.947 [0.747, 0.991], n = 10'
    """
    if right == wrong == 0:
        return Estimate(0.0, 0.0, 1.0, level, 0, "neither met nor predicted")
    share = wilson(right, right + wrong, level)
    value, low, high = (2 * x / (1 + x) for x in (share.value, share.low, share.high))
    return Estimate(value, low, high, level, share.n, "wilson, of right / (right + wrong)")


def mean_interval(values: NDArray[np.float64], level: float = 0.95) -> Estimate:
    """Mean of values at or above 0, float64 (N,), with Student's interval; its low end stops at 0.

    One value alone tells nothing of its spread: the interval is then the value, and `method` says so.
    Raises ValueError for no values or a level outside 0–1.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values have no mean")
    z_value(level)
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, mean, mean, level, n, "one photo, no interval")
    reach = t_value(level, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, max(0.0, mean - reach), mean + reach, level, n, "student t")


def mean_of_shares(
    parts: Sequence[Estimate], n: int, correlation: NDArray[np.float64] | None = None
) -> Estimate:
    """Unweighted mean of shares with the interval that their own intervals lead to (MOVER).

    parts: K ≥ 1 estimates within 0–1, all at one level
    n: photos behind them together
    correlation: (K, K) between the shares; None when independent

    Zou and Donner, "Construction of confidence limits about effect measures: a general approach", Statistics
    in Medicine 27 (2008), 1693–1702; with correlations Zou, Psychological Methods 12 (2007), 399–413.
    """
    values = np.array([part.value for part in parts])
    matrix = np.eye(len(parts)) if correlation is None else correlation
    mean = float(values.mean())
    below = values - [part.low for part in parts]
    above = [part.high for part in parts] - values
    down, up = (math.sqrt(max(0.0, float(x @ matrix @ x))) / len(parts) for x in (below, above))
    return Estimate(mean, max(0.0, mean - down), min(1.0, mean + up), parts[0].level, n, "mover of wilson")


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a − b of two shares on different photos, within −1–1; both are `wilson` estimates of one level.

    Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
    methods", Statistics in Medicine 17 (1998), 873–890, method 10. `n` counts the photos of both.
    Raises ValueError for two levels.

    >>> str(difference(wilson(56, 70), wilson(48, 80)))
    '0.200 [0.052, 0.334], n = 150'
    """
    if a.level != b.level:
        raise ValueError(f"two levels, {a.level} and {b.level}")
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, max(-1.0, low), min(1.0, high), a.level, a.n + b.n, "newcombe score")


def paired_difference(
    a_right: NDArray[np.bool_], b_right: NDArray[np.bool_], level: float = 0.95
) -> Estimate:
    """Accuracy of b minus accuracy of a on the same photos, within −1–1.

    a_right, b_right: bool (N,), whether each photo was classified rightly, in the same order

    Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17 (1998), 2635–2650, method 10.
    Raises ValueError for no photos, unequal counts or a level outside 0–1.
    """
    both, only_a, only_b, neither = _paired_counts(a_right, b_right)
    n = both + only_a + only_b + neither
    a, b = wilson(both + only_a, n, level), wilson(both + only_b, n, level)
    phi = _corrected_phi(both, only_a, only_b, neither)
    value = (only_b - only_a) / n
    low = value - _reach(b.value - b.low, a.high - a.value, phi)
    high = value + _reach(b.high - b.value, a.value - a.low, phi)
    return Estimate(value, max(-1.0, low), min(1.0, high), level, n, "newcombe paired score")


def mcnemar_exact(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> float:
    """Two-sided p-value that a and b are equally often right, from the photos where just one of them is.

    McNemar's test with the exact binomial distribution (Agresti, Categorical Data Analysis, 3rd ed.,
    section 11.1). 1.0 where they never differ. Raises ValueError for no photos or unequal counts.
    """
    _, only_a, only_b, _ = _paired_counts(a_right, b_right)
    n = only_a + only_b
    # Logarithms: binomial coefficients of some thousand photos do not fit a float.
    base = math.lgamma(n + 1) - n * math.log(2)
    tail = (base - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * math.fsum(map(math.exp, tail)))


def z_value(level: float) -> float:
    """Two-sided normal quantile: 1.96 for 0.95. Raises ValueError for a level outside 0–1."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)


def t_value(level: float, degrees: int) -> float:
    """Two-sided Student quantile: exact for 1 and 2 degrees of freedom, within 1 % above, up to level 0.99.

    The expansion around the normal quantile is Abramowitz and Stegun, Handbook of Mathematical Functions
    (1964), 26.7.5.
    """
    z = z_value(level)
    if degrees <= 2:
        return math.tan(math.pi * level / 2) if degrees == 1 else level * math.sqrt(2 / (1 - level * level))
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return math.fsum(term / float(degrees) ** power for power, term in enumerate(terms))


def _paired_counts(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Photos where both are right, only a, only b, neither."""
    a, b = np.asarray(a_right, dtype=np.bool_), np.asarray(b_right, dtype=np.bool_)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(
            f"two answers for each of one or more photos are needed, not {a.shape} and {b.shape}"
        )
    both, only_a, only_b = int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum())
    return both, only_a, only_b, len(a) - both - only_a - only_b


def _corrected_phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Correlation of the two answers, its positive values corrected for continuity; 0 where undefined."""
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    excess: float = both * neither - only_a * only_b
    if excess > 0:
        excess = max(0.0, excess - (both + only_a + only_b + neither) / 2)
    return excess / math.sqrt(margins)


def _reach(first: float, second: float, phi: float) -> float:
    return math.sqrt(max(0.0, first**2 - 2 * phi * first * second + second**2))
