"""Pictures of very few pixels among larger ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of
from sortograph.dataset.names import shown
from sortograph.errors import counted, listed
from sortograph.records import Finding

# The smallest of 6,743 photos of five real sets has 33 pixels on its shorter side, and shows its dog. Sets
# that are small throughout, such as digits of 28×28, are meant to be so: hence the second condition.
_SIDE, _SHARE = 32, 1 / 3


def find(view: AuditView) -> Iterator[Finding]:
    index = view.index
    if not len(index):
        return
    short = index.sizes.min(axis=1)
    usual = float(np.median(short))
    rows = np.flatnonzero((short < _SIDE) & (short < _SHARE * usual))
    if len(rows):
        rows = rows[np.argsort(short[rows], kind="stable")]
        paths = paths_of(index, rows)
        sized = (f"{shown(p)} ({w}×{h})" for p, (w, h) in zip(paths, index.sizes[rows].tolist(), strict=True))
        yield Finding(
            check="tiny",
            photos=paths,
            severity=0.25,
            message=f"{counted(len(rows), 'picture')} of fewer than {_SIDE} pixels on a side, where "
            f"{usual:.0f} are usual: {listed(sized, limit=3)}",
            remedy="replace thumbnails by the photos that they stand for, or take them out",
        )
