"""Figures as text: every share with its count and its interval."""

from __future__ import annotations

import math

from sortograph.records import Estimate


def percent(share: float) -> str:
    """
    >>> percent(0.9125)
    '91.2 %'
    """
    return f"{100 * share:.1f} %"


def share(estimate: Estimate, things: str) -> str:
    """
    >>> share(Estimate(0.9, 0.87, 0.93, 0.95, 336, "wilson"), "test photos")
    '90.0 % of 336 test photos (95 %: 87.0 to 93.0)'
    """
    ends = f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"
    return f"{percent(estimate.value)} of {estimate.n} {things} ({100 * estimate.level:g} %: {ends})"


def points(gap: Estimate) -> str:
    """
    >>> points(Estimate(0.092, 0.061, 0.126, 0.95, 1003, "newcombe score"))
    '9.2 points (95 %: 6.1 to 12.6)'
    """
    ends = f"{_signed(gap.low)} to {_signed(gap.high)}"
    return f"{_signed(gap.value)} points ({100 * gap.level:g} %: {ends})"


def _signed(share: float) -> str:
    number = round(100 * share, 1)
    return f"−{-number:.1f}" if number < 0 else f"{number:.1f}"


def figures(estimate: Estimate) -> dict[str, float | int]:
    """An estimate for programs, without its method.

    >>> figures(Estimate(0.5, 0.4, 0.6, 0.95, 80, "wilson"))
    {'value': 0.5, 'low': 0.4, 'high': 0.6, 'level': 0.95, 'n': 80}
    """
    names = ("value", "low", "high", "level", "n")
    return {name: getattr(estimate, name) for name in names}


def clipped(severity: float, least: float = 0.0, most: float = 1.0) -> float:
    """Within bounds, three digits.

    >>> clipped(1.23456, most=0.9), clipped(0.12345)
    (0.9, 0.123)
    """
    return round(min(most, max(least, severity)), 3) if math.isfinite(severity) else most
