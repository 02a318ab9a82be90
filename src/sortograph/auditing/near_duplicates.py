"""One photo in several versions (re-encoded, resized, mirrored) in one class and split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of
from sortograph.dataset.names import shown
from sortograph.errors import listed
from sortograph.records import DatasetIndex, Finding


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each photo; all but its largest version can be set aside.

    Of exact copies, which are another check's matter, only the one that is kept is counted.
    """
    index = view.index
    twins, contents, splits = kin.twins(index), kin.contents(index), kin.splits(index)
    for rows in kin.together(np.flatnonzero(twins >= 0), twins, index.labels, splits):
        ordered = kin.best_first(index, rows)
        _, firsts = np.unique(contents[ordered], return_index=True)
        if len(firsts) > 1:
            yield _finding(index, ordered[np.sort(firsts)])


def _finding(index: DatasetIndex, rows: kin.Rows) -> Finding:
    paths = paths_of(index, rows)
    sized = (
        f"{shown(path)} ({width}×{height})"
        for path, (width, height) in zip(paths, index.sizes[rows].tolist(), strict=True)
    )
    return Finding(
        check="near-duplicates",
        photos=paths,
        severity=0.25,
        message=f"{len(paths)} files show nearly the same photo: {listed(sized, limit=3)}",
        remedy="keep the largest; where they are different photos after all, leave them",
        set_aside=paths[1:],
    )
