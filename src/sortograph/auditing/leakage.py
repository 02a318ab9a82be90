"""Photos of one split that also lie in another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sortograph.auditing import kin
from sortograph.auditing.view import AuditView
from sortograph.auditing.words import are, paths_of, percent, some
from sortograph.errors import counted
from sortograph.records import SPLITS, DatasetIndex, Finding

# A share of leaked photos above which scores are off by more than most models differ.
_GRAVE = 0.05


@dataclass(frozen=True, slots=True)
class _Tie:
    """What ties photos across splits: numbers int64 (N,), −1 for none, and the words for it."""

    numbers: kin.Rows
    words: str
    exact: bool = False
    likely: bool = False


@dataclass(frozen=True, slots=True)
class _Leak:
    """Rows of the later split that are affected, and the rows of the earlier one that they meet there."""

    first: str
    second: str
    affected: kin.Rows
    known: kin.Rows
    tie: _Tie


def find(view: AuditView) -> Iterator[Finding]:
    """A finding for each pair of splits and each tie; a photo counts once, by its closest tie."""
    index = view.index
    splits = kin.splits(index)
    ties = (
        _Tie(kin.contents(index), "also in {} (the same content)", exact=True),
        _Tie(kin.twins(index), "nearly the same as photos in {}"),
        *_likely(view),
        _Tie(kin.numbered(index.groups), "of a group that is in {}, too"),
    )
    for first, second in combinations(range(len(SPLITS)), 2):
        there, here = np.flatnonzero(splits == first), np.flatnonzero(splits == second)
        for tie in ties:
            shared = np.intersect1d(tie.numbers[there], tie.numbers[here])
            shared = shared[shared >= 0]
            affected = here[np.isin(tie.numbers[here], shared)]
            if len(affected):
                known = there[np.isin(tie.numbers[there], tie.numbers[affected])]
                yield _finding(view, _Leak(SPLITS[first], SPLITS[second], affected, known, tie))
            here = here[~np.isin(here, affected)]


def _likely(view: AuditView) -> Iterator[_Tie]:
    if view.likely is not None:
        yield _Tie(view.likely.groups, "probably the same as photos in {}", likely=True)


def _finding(view: AuditView, leak: _Leak) -> Finding:
    index, n = view.index, len(leak.affected)
    total = len(index.rows(leak.second))
    paths = paths_of(index, _side_by_side(leak))
    return Finding(
        check="leakage",
        photos=paths,
        severity=round((0.3 if leak.tie.likely else 0.5) + 0.4 * min(1.0, n / total / _GRAVE), 3),
        message=f"{n} of {counted(total, f'{leak.second} photo')} ({percent(n / total)}) {are(n)} "
        f"{leak.tie.words.format(leak.first)}; scores on {leak.second} are too good: {some(paths)}",
        remedy=_remedy(view, leak),
        set_aside=paths_of(index, _copies(index, leak)),
    )


def _remedy(view: AuditView, leak: _Leak) -> str:
    if leak.tie.likely:
        return "look at them: photos that are one need a common group (--group-from, or a column group)"
    if not view.given:
        return "have the splits cut anew: what belongs together then stays on one side"
    if leak.tie.exact:
        return f"take the copies out of {leak.first}, or give no splits and have them cut"
    return "move what belongs together into one split, or give no splits and have them cut"


def _side_by_side(leak: _Leak) -> kin.Rows:
    """Affected photos, each followed by what it meets in the other split."""
    rows = np.concatenate([leak.affected, leak.known])
    later = np.repeat([0, 1], [len(leak.affected), len(leak.known)])
    return rows[np.lexsort((rows, later, leak.tie.numbers[rows]))]


def _copies(index: DatasetIndex, leak: _Leak) -> kin.Rows:
    """Training photos whose exact copies, of the same label, are judged elsewhere."""
    if leak.first != "train" or not leak.tie.exact:
        return leak.known[:0]
    span = len(index.classes) + 1
    pair = leak.tie.numbers * span + index.labels + 1
    return leak.known[np.isin(pair[leak.known], pair[leak.affected])]
