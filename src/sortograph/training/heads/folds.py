"""Parts of the training photos that judge in turn: units never divided, class shares kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.units import Unit, units
from sortograph.records import DatasetIndex


def folds(index: DatasetIndex, rows: NDArray[np.int64], k: int, seed: int) -> NDArray[np.int64]:
    """The fold of each of `rows`, int64 (n,) within 0 … k − 1.

    Photos of one content, of one group, and near duplicates are in one fold. Each unit goes, the largest
    first, to the fold that holds the least of its classes, then to the smallest one; the order is drawn by
    content and seed, so the order of the rows has no say. There are fewer folds, at least two, where a class
    has fewer units than `k`; a class that has but one is not asked.
    """
    every = units(index, (int(row) for row in rows), seed)
    count = _possible(every, k)
    place = {int(row): number for number, row in enumerate(rows)}
    sizes = Counter({label: 0 for unit in every for label in unit.classes})
    for unit in every:
        sizes.update(unit.classes)
    held: list[Counter[int]] = [Counter() for _ in range(count)]
    found = np.zeros(len(rows), dtype=np.int64)
    for unit in every:
        best = min(range(count), key=lambda fold: (_crowd(unit, held[fold], sizes), held[fold].total(), fold))
        held[best].update(unit.classes)
        found[[place[row] for row in unit.rows]] = best
    return found


def _possible(every: list[Unit], k: int) -> int:
    holders = Counter(label for unit in every for label in unit.classes)
    return max(2, min([k, *(count for count in holders.values() if count > 1)]))


def _crowd(unit: Unit, held: Counter[int], sizes: Counter[int]) -> float:
    """How much of the unit's classes a fold holds; rounded, so that the order of the classes has no say."""
    return round(sum(count * held[label] / sizes[label] for label, count in unit.classes.items()), 9)
