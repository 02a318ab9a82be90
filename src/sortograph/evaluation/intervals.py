"""Confidence intervals, closed form: no draws, so the same counts always give the same interval.

None of them collapses to a point where every photo was right, as resampling does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sortograph.evaluation.binomial import exact_limits
from sortograph.records import Estimate

_FEW = 5  # right or wrong: below that, Wilson's interval may miss too often


def wilson(hits: int, n: int, level: float = 0.95) -> Estimate:
    """Share hits / n with Wilson's score interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209–212.
    Raises ValueError for n = 0, hits outside 0–n or a level outside 0–1.

    >>> str(wilson(9, 10))
    '0.900 [0.596, 0.982], n = 10'
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no share")
    return Estimate(hits / n, *score_limits(hits / n, n, level), level, n, "wilson")


def share(hits: int, n: int, level: float = 0.95) -> Estimate:
    """Share hits / n: Wilson's interval, or Clopper and Pearson's where fewer than five hit or miss.

    Raises ValueError as `wilson` does.

    >>> str(share(59, 60)), share(59, 60).method
    ('0.983 [0.911, 1.000], n = 60', 'clopper-pearson')
    """
    near = wilson(hits, n, level)
    if min(hits, n - hits) >= _FEW:
        return near
    low, high = exact_limits(hits, n, level)
    return Estimate(near.value, low, high, level, n, "clopper-pearson")


def share_of(right: NDArray[np.bool_], groups: NDArray[np.int64] | None, level: float = 0.95) -> Estimate:
    """Share of bool (N,), N ≥ 1, with the interval that its groups allow.

    groups: int64 (N,), equal for photos that belong together; None where each stands for itself

    Photos of a group tell less than as many strangers: Wilson's interval for the effective number of photos,
    Rao and Scott, "A simple method for the analysis of clustered binary data", Biometrics 48 (1992), 577–585.
    Where the groups do not differ at all, each counts as one photo.
    Raises ValueError for no photos.
    """
    n, hits = len(right), int(right.sum())
    if groups is None or len(np.unique(groups)) == n:
        return share(hits, n, level)
    effective = _effective(right, groups)
    value = hits / n
    near = score_limits(value, effective, level)
    return Estimate(value, *near, level, n, f"wilson, {len(np.unique(groups))} groups")


def f1_score(right: int, wrong: int, level: float = 0.95) -> Estimate:
    """F1 of one class: `right` true positives; `wrong` false positives and false negatives together.

    F1 = 2J / (1 + J) rises with the share J = right / (right + wrong), which is binomial given its count;
    so the limits of J, carried over, are limits of F1. A class neither met nor predicted has F1 0 and
    the interval [0, 1]. Raises ValueError for negative counts.

    >>> str(f1_score(9, 1))
    '0.947 [0.714, 0.999], n = 10'
    """
    if right == wrong == 0:
        return Estimate(0.0, 0.0, 1.0, level, 0, "neither met nor predicted")
    part = share(right, right + wrong, level)
    value, low, high = (2 * x / (1 + x) for x in (part.value, part.low, part.high))
    return Estimate(value, low, high, level, part.n, f"{part.method}, of right / (right + wrong)")


def mean_interval(
    values: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    level: float = 0.95,
    *,
    most: float = math.inf,
) -> Estimate:
    """Mean of values within 0–`most`, float64 (N,), with Student's interval, which ends there, too.

    groups: int64 (N,), equal for photos that belong together: their sums are what varies then (the ratio
            estimator of cluster sampling, Cochran, Sampling Techniques, 3rd ed., section 9A.2)

    One value alone tells nothing of its spread: the interval is then the value, and `method` says so.
    Raises ValueError for no values or a level outside 0–1.
    """
    n = len(values)
    if n == 0:
        raise ValueError("no values have no mean")
    z_value(level)
    mean = float(values.mean())
    sums = values - mean if groups is None else _sums(values - mean, groups)
    count = len(sums)
    if count == 1:
        alone = "photo" if n == 1 else "group"
        return Estimate(mean, mean, mean, level, n, f"one {alone}, no interval")
    reach = t_value(level, count - 1) * math.sqrt(count / (count - 1) * float(sums @ sums)) / n
    told = "student t" if count == n else f"student t, {count} groups"
    return Estimate(mean, max(0.0, mean - reach), min(most, mean + reach), level, n, told)


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


def score_limits(share: float, n: float, level: float) -> tuple[float, float]:
    """Ends of Wilson's interval; n need not be whole."""
    z2 = z_value(level) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    # At 0 and 1 rounding could leave a limit a hair away from the share itself.
    low = 0.0 if share == 0 else max(0.0, centre - reach)
    high = 1.0 if share == 1 else min(1.0, centre + reach)
    return low, high


def _effective(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """How many photos that do not belong together would tell as much."""
    n, value = len(right), float(right.mean())
    sums = _sums(right.astype(np.float64) - value, groups)
    count = len(sums)
    variance = count / max(1, count - 1) * float(sums @ sums) / n**2
    return min(float(n), value * (1 - value) / variance) if variance > 0 else float(count)


def _sums(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each group, float64 (G,)."""
    return np.bincount(np.unique(groups, return_inverse=True)[1], weights=values).astype(np.float64)


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
