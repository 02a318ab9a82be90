"""Pictures far longer than wide, or wider than long, than the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of
from sortograph.dataset.names import shown
from sortograph.errors import counted, listed
from sortograph.records import Finding

# Panoramas reach 3.2 among 6,743 photos of five real sets; one strip with 5.9 is above. Sets of strips, such
# as lines of text, are meant to be so: hence the second condition.
_RATIO, _TIMES_USUAL = 4.0, 2.0


def find(view: AuditView) -> Iterator[Finding]:
    index = view.index
    if not len(index):
        return
    ratio = index.sizes.max(axis=1) / np.maximum(1, index.sizes.min(axis=1))
    rows = np.flatnonzero((ratio > _RATIO) & (ratio > _TIMES_USUAL * np.median(ratio)))
    if len(rows):
        rows = rows[np.argsort(-ratio[rows], kind="stable")]
        paths = paths_of(index, rows)
        sized = (f"{shown(p)} ({w}×{h})" for p, (w, h) in zip(paths, index.sizes[rows].tolist(), strict=True))
        yield Finding(
            check="extreme-aspect",
            photos=paths,
            severity=0.15,
            message=f"{counted(len(rows), 'picture')} more than {_RATIO:.0f} times as long as wide, or as "
            f"wide as long: {listed(sized, limit=3)}",
            remedy="cut them to their subject: squashed into a square they are hard to recognise",
        )
