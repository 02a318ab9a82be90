"""Classes with too few photos to learn or to judge."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import class_of, classes, percent
from sortograph.errors import listed
from sortograph.records import SPLITS, DatasetIndex, Finding

_TO_LEARN, _TO_JUDGE = 20, 5
_Z2 = 1.959964**2  # of a level of 95 %


def find(view: AuditView) -> Iterator[Finding]:
    index = view.index
    if not (index.labels >= 0).any():
        return
    few = _counts(index, index.labels, _TO_LEARN)
    if few:
        yield Finding(
            check="tiny-classes",
            photos=(),
            severity=0.4,
            message=f"{classes(len(few))} with fewer than {_TO_LEARN} photos: {_named(index, few)}",
            remedy="add photos, or leave these classes out",
        )
    yield from _judged(index)


def _judged(index: DatasetIndex) -> Iterator[Finding]:
    tested = index.labels[kin.splits(index) == SPLITS.index("test")]
    few = _counts(index, tested, _TO_JUDGE) if (tested >= 0).any() else {}
    if few:
        yield Finding(
            check="tiny-classes",
            photos=(),
            severity=0.3,
            message=f"{classes(len(few))} with fewer than {_TO_JUDGE} test photos: {_named(index, few)}"
            f"{_doubt(max(few.values()))}",
            remedy="add test photos before figures of these classes are believed",
        )


def _doubt(most: int) -> str:
    """What the largest of these test counts leaves open."""
    if not most:
        return "; nothing can be said of them"
    width = _width(most)
    return (
        f"; even if all {most} of a class were right, the 95 % interval of its recall would be "
        f"{100 * width:.0f} points wide, from {percent(1 - width)} to 100 %"
    )


def _counts(index: DatasetIndex, labels: kin.Rows, limit: int) -> dict[int, int]:
    """Classes with fewer photos than the limit, and how many they have."""
    counts = np.bincount(labels[labels >= 0], minlength=len(index.classes))
    return {int(label): int(counts[label]) for label in np.flatnonzero(counts < limit)}


def _named(index: DatasetIndex, few: dict[int, int]) -> str:
    return listed((f"{class_of(index, label)} ({count})" for label, count in few.items()), limit=10)


def _width(n: int) -> float:
    """Width of Wilson's 95 % interval (JASA 22 (1927), 209–212) when all of n are right.

    >>> round(_width(5), 3)
    0.434
    """
    return _Z2 / (n + _Z2)
