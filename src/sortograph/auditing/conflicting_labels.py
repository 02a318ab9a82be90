"""One photo under several labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import class_of, paths_of, some
from sortograph.dataset.names import listed
from sortograph.records import DatasetIndex, Finding


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each photo, a file of each label at the front. A person must say which is right."""
    index = view.index
    contents = kin.contents(index)
    same = kin.joined(contents, kin.twins(index))
    for rows in kin.together(np.flatnonzero(index.labels >= 0), same):
        labels, firsts, counts = np.unique(index.labels[rows], return_index=True, return_counts=True)
        if len(labels) > 1:
            # Rows that all hold the same content are beyond doubt; near duplicates may be a burst of shots.
            exact = _torn(contents[rows], index.labels[rows])
            front = rows[np.sort(firsts)]
            ordered = np.concatenate([front, np.setdiff1d(rows, front)])
            yield _finding(index, ordered, dict(zip(labels.tolist(), counts.tolist(), strict=True)), exact)


def _torn(contents: kin.Rows, labels: kin.Rows) -> bool:
    """Whether one and the same content has several labels."""
    pairs = np.unique(np.stack([contents, labels]), axis=1)
    return bool(len(np.unique(pairs[0])) < pairs.shape[1])


def _finding(index: DatasetIndex, rows: kin.Rows, counts: dict[int, int], exact: bool) -> Finding:
    paths = paths_of(index, rows)
    names = listed((f"{class_of(index, label)} ({count}×)" for label, count in counts.items()), limit=4)
    what = "the same photo" if exact else "nearly the same photo"
    return Finding(
        check="conflicting-labels",
        photos=paths,
        severity=0.9 if exact else 0.7,
        message=f"{what} has {len(counts)} labels: {names}: {some(paths)}",
        remedy="choose the right label and take the photo out of the other classes",
    )
