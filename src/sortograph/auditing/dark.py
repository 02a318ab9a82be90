"""Photos too dark to show much."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing.blank import blank_rows
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of, some
from sortograph.errors import counted
from sortograph.records import Finding

# Mean luma, 0–255. The darkest of 6,743 photos of five real sets that shows its subject well, an acrobat in
# a spotlight, has 11.5.
_LUMA = 10.0


def find(view: AuditView) -> Iterator[Finding]:
    """Blank photos are another check's matter."""
    index = view.index
    rows = np.flatnonzero((index.looks["brightness"] < _LUMA) & ~blank_rows(index))
    if len(rows):
        paths = paths_of(index, rows[np.argsort(index.looks["brightness"][rows], kind="stable")])
        yield Finding(
            check="dark",
            photos=paths,
            severity=0.2,
            message=f"{counted(len(rows), 'photo')} almost black (mean brightness below {_LUMA:.0f} of 255): "
            f"{some(paths)}",
            remedy="look at them and take out those on which you cannot tell the class yourself",
        )
