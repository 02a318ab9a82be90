"""Photos far less sharp than the others of their class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sortograph.auditing.blank import blank_rows
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of, some
from sortograph.errors import counted
from sortograph.records import DatasetIndex, Finding

# Sharpness hangs on the subject: a clear sky has a hundredth of a crowd's. So a photo is held against the
# median of its class, or of all photos where that is lower. In five real sets no photo has less than 1/85
# of it; a Gaussian blur whose standard deviation is 1.6 % of the picture leaves 1/90 to 1/250 of a usual one.
_SHARE = 1 / 100
_ENOUGH = 20  # photos that make a median


def find(view: AuditView) -> Iterator[Finding]:
    """Blank photos are another check's matter."""
    index = view.index
    sharpness = index.looks["sharpness"].astype(np.float64)
    seen = ~blank_rows(index)
    rows = np.flatnonzero(seen & (sharpness < _SHARE * _usual(index, sharpness, seen)))
    if len(rows):
        paths = paths_of(index, rows[np.argsort(sharpness[rows], kind="stable")])
        yield Finding(
            check="blurred",
            photos=paths,
            severity=0.15,
            message=f"{counted(len(rows), 'photo')} far less sharp than others of the class (less than "
            f"1/{1 / _SHARE:.0f} of the usual detail): {some(paths)}",
            remedy="look at them and take out those on which you cannot tell the class yourself",
        )


def _usual(
    index: DatasetIndex, sharpness: NDArray[np.float64], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """float64 (N,): the sharpness to expect of each photo; 0 where there are too few to tell."""
    if seen.sum() < _ENOUGH:
        return np.zeros(len(index))
    usual = np.full(len(index), np.median(sharpness[seen]))
    order = np.flatnonzero(seen)[np.argsort(index.labels[seen], kind="stable")]
    labels, starts = np.unique(index.labels[order], return_index=True)
    for label, rows in zip(labels, np.split(order, starts[1:]), strict=True):
        if label >= 0 and len(rows) >= _ENOUGH:
            usual[rows] = np.minimum(usual[rows], np.median(sharpness[rows]))
    return usual
