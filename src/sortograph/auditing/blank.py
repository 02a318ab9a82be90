"""Photos that show nothing: of one colour, but for noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of, some
from sortograph.errors import counted
from sortograph.records import DatasetIndex, Finding

# Standard deviation of the luma, 0–127.5. The faintest of 6,743 photos of five real sets, a thin digit on a
# sheet of paper, has 5.7; the noise of a covered lens seldom exceeds 2.
_CONTRAST = 3.0


def blank_rows(index: DatasetIndex) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool (N,)"""
    blank: np.ndarray[tuple[int], np.dtype[np.bool_]] = index.looks["contrast"] < _CONTRAST
    return blank


def find(view: AuditView) -> Iterator[Finding]:
    index = view.index
    rows = np.flatnonzero(blank_rows(index))
    if len(rows):
        paths = paths_of(index, rows[np.argsort(index.looks["contrast"][rows], kind="stable")])
        yield Finding(
            check="blank",
            photos=paths,
            severity=0.4,
            message=f"{counted(len(rows), 'photo')} of one colour, with nothing to be seen: {some(paths)}",
            remedy="look at them and take out those that show nothing",
        )
