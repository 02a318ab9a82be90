"""The same file several times in one class and split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of, some
from sortograph.records import Finding


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each content; all but the photo with the shortest path can be set aside."""
    index = view.index
    columns = (kin.contents(index), index.labels, kin.splits(index))
    for rows in kin.together(np.arange(len(index)), *columns):
        paths = paths_of(index, kin.best_first(index, rows))
        yield Finding(
            check="exact-duplicates",
            photos=paths,
            severity=0.3,
            message=f"{len(paths)} files hold the same photo, byte for byte: {some(paths)}",
            remedy="keep one: copies make the photo count several times",
            set_aside=paths[1:],
        )
