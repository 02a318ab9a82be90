"""Classes of very different size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import class_of, percent
from sortograph.records import Finding

# Below three to one, accuracy and balanced accuracy seldom tell different stories.
_RATIO = 3.0


def find(view: AuditView) -> Iterator[Finding]:
    index = view.index
    counts = np.bincount(index.labels[index.labels >= 0], minlength=len(index.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        return
    largest, smallest = int(counts.argmax()), int(present[counts[present].argmin()])
    ratio = counts[largest] / counts[smallest]
    if ratio < _RATIO:
        return
    most = class_of(index, largest)
    yield Finding(
        check="imbalance",
        photos=(),
        severity=round(min(0.6, 0.2 + 0.2 * math.log10(ratio / _RATIO)), 3),
        message=f"the largest class, {most}, has {ratio:.1f} times the photos of the smallest, "
        f"{class_of(index, smallest)} ({counts[largest]} and {counts[smallest]}): always answering {most} is "
        f"right for {percent(counts[largest] / counts.sum())} of the photos",
        remedy="judge by balanced accuracy and by the recall of each class; add photos of small classes, or "
        'train with class_weights = "balanced"',
    )
