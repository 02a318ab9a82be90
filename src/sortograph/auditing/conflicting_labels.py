"""One photo under several labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import class_of, paths_of, some
from sortograph.errors import listed
from sortograph.records import DatasetIndex, Finding

# How sure it is that files show one photo. Near duplicates may be a burst of shots.
_EXACT, _NEAR, _LIKELY = ("the same photo", 0.9), ("nearly the same photo", 0.7), ("probably one photo", 0.5)


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for each photo, a file of each label at the front. A person must say which is right."""
    index = view.index
    contents = kin.contents(index)
    same = kin.joined(contents, kin.twins(index))
    likely = same if view.likely is None else kin.joined(same, view.likely.groups)
    for all_rows in kin.together(np.flatnonzero(index.labels >= 0), likely):
        torn = [rows for rows in kin.together(all_rows, same) if _has_several(index.labels[rows])]
        for rows in torn:
            yield _finding(index, rows, _EXACT if _torn(contents[rows], index.labels[rows]) else _NEAR)
        if not torn and _has_several(index.labels[all_rows]):
            yield _finding(index, all_rows, _LIKELY)


def _has_several(labels: kin.Rows) -> bool:
    return bool((labels != labels[0]).any())


def _torn(contents: kin.Rows, labels: kin.Rows) -> bool:
    """Whether one and the same content has several labels."""
    pairs = np.unique(np.stack([contents, labels]), axis=1)
    return bool(len(np.unique(pairs[0])) < pairs.shape[1])


def _finding(index: DatasetIndex, rows: kin.Rows, how: tuple[str, float]) -> Finding:
    labels, firsts, counts = np.unique(index.labels[rows], return_index=True, return_counts=True)
    front = rows[np.sort(firsts)]
    paths = paths_of(index, np.concatenate([front, np.setdiff1d(rows, front)]))
    pairs = zip(labels.tolist(), counts.tolist(), strict=True)
    names = listed((f"{class_of(index, label)} ({count}×)" for label, count in pairs), limit=4)
    what, severity = how
    return Finding(
        check="conflicting-labels",
        photos=paths,
        severity=severity,
        message=f"{what} has {len(labels)} labels: {names}: {some(paths)}",
        remedy="choose the right label and take the photo out of the other classes",
    )
