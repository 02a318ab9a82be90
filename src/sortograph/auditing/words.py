"""Words that several checks share. Names are made fit for one line; photos keep their paths as they are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.names import shown
from sortograph.errors import listed
from sortograph.records import DatasetIndex


def percent(share: float) -> str:
    """
    >>> percent(0.071), percent(0.9514), percent(0.002)
    ('7.1 %', '95 %', '0.2 %')
    """
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def class_of(index: DatasetIndex, label: int) -> str:
    """The name of a class in quotes; photos without a label have none."""
    return f"'{shown(index.classes[label])}'" if label >= 0 else "no label"


def paths_of(index: DatasetIndex, rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(index.paths[row] for row in rows.tolist())


def some(paths: Iterable[str], limit: int = 3) -> str:
    """A few of the paths in one line."""
    return listed((shown(path) for path in paths), limit=limit)


def are(n: int) -> str:
    return "is" if n == 1 else "are"


def classes(n: int) -> str:
    return "1 class" if n == 1 else f"{n} classes"
