"""How many photos of each class go into each split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

Quota = list[int]  # one number for each class


def quotas(sizes: Sequence[int], fractions: Mapping[str, float]) -> dict[str, Quota]:
    """Photos per class for every split with a fraction above 0, and for "train" the rest.

    `sizes` are the photos per class, at least 1. Each split gets the rounded fraction of all photos, shared
    out among the classes by largest remainder; of equal remainders, the class goes first that got fewer extra
    photos before, then the earlier one. A class of three or more photos gets at least one in each
    split, train included; smaller classes keep at least one in train.

    >>> quotas([10, 10, 3], {"test": 0.2, "validation": 0.1})
    {'test': [2, 2, 1], 'validation': [1, 1, 1], 'train': [7, 7, 1]}
    """
    extras: Counter[int] = Counter()
    cut = {name: _shares(sizes, fraction, extras) for name, fraction in fractions.items() if fraction > 0}
    for k, size in enumerate(sizes):
        if cut:
            _fit(cut, k, size)
    taken = [sum(quota[k] for quota in cut.values()) for k in range(len(sizes))]
    return {**cut, "train": [size - gone for size, gone in zip(sizes, taken, strict=True)]}


def _shares(sizes: Sequence[int], fraction: float, extras: Counter[int]) -> Quota:
    # Exact arithmetic: 0.29 · 100 is not 29 in floating point.
    exact = [Fraction(str(fraction)) * size for size in sizes]
    floors = [math.floor(share) for share in exact]
    left = math.floor(sum(exact, Fraction(0)) + Fraction(1, 2)) - sum(floors)
    by_remainder = sorted(range(len(sizes)), key=lambda k: (floors[k] - exact[k], extras[k], k))
    extra = set(by_remainder[:left])
    extras.update(extra)
    return [floor + (k in extra) for k, floor in enumerate(floors)]


def _fit(cut: dict[str, Quota], k: int, size: int) -> None:
    """At least one photo of class k in each split that is cut, and at least one left for train."""
    for quota in cut.values():
        quota[k] = max(quota[k], int(size >= 3))
    while sum(quota[k] for quota in cut.values()) >= size:
        largest = max(cut.values(), key=lambda quota: quota[k])
        largest[k] -= 1
