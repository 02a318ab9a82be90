"""Photos that probably show the same picture, in one class and split, beyond exact and near duplicates."""

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
    """One finding for each picture; of copies and near duplicates only the one that is kept is counted.

    Those can be set aside of which pixels are as sure as they are of near duplicates, as long as what stands
    for them stays.
    """
    assert view.likely is not None, "asked for only where they were looked for"
    index, likely = view.index, view.likely
    tied, splits = kin.joined(kin.contents(index), kin.twins(index)), kin.splits(index)
    for rows in kin.together(np.flatnonzero(likely.groups >= 0), likely.groups, index.labels, splits):
        ordered = kin.best_first(index, rows)
        _, firsts = np.unique(tied[ordered], return_index=True)
        if len(firsts) > 1:
            kept = ordered[np.sort(firsts)]
            stands = tied[kept[0]] == likely.groups[kept[0]]
            yield _finding(index, kept, likely.sure[kept] & stands)


def _finding(index: DatasetIndex, rows: kin.Rows, sure: kin.Mask) -> Finding:
    paths = paths_of(index, rows)
    sized = (
        f"{shown(path)} ({width}×{height})"
        for path, (width, height) in zip(paths, index.sizes[rows].tolist(), strict=True)
    )
    return Finding(
        check="likely-duplicates",
        photos=paths,
        severity=0.2,
        message=f"{len(paths)} files probably show the same photo, softer or otherwise altered: "
        f"{listed(sized, limit=3)}",
        remedy="look at them, and keep the best where they are one photo",
        set_aside=paths_of(index, rows[1:][sure[1:]]),
    )
