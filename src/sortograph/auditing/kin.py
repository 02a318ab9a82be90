"""Photos that belong together: of one content, near duplicates, of one group. Whole columns at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sortograph.records import SPLITS, DatasetIndex

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def numbered(names: Iterable[str]) -> Rows:
    """A number for each name, int64 (N,), in the order in which they first come; −1 for "".

    >>> numbered(["b", "", "a", "b"])
    array([ 0, -1,  1,  0])
    """
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) if name else -1 for name in names], dtype=np.int64)


def contents(index: DatasetIndex) -> Rows:
    return numbered(index.sha256)


def twins(index: DatasetIndex) -> Rows:
    """Numbers of the groups of near duplicates; −1 without, and for all where nobody looked."""
    return numbered(index.twins) if index.twins else np.full(len(index), -1, dtype=np.int64)


def splits(index: DatasetIndex) -> Rows:
    """Places in SPLITS; −1 while not cut."""
    place = {name: number for number, name in enumerate(SPLITS)}
    return np.array([place.get(name, -1) for name in index.splits], dtype=np.int64)


def families(index: DatasetIndex) -> Rows:
    """int64 (N,): the same number for photos that must never be on both sides of a cut, since they share a
    content, a near duplicate or a group, also through others."""
    return joined(contents(index), twins(index), numbered(index.groups))


def joined(*columns: Rows) -> Rows:
    """Connected components, int64 (N,): rows are tied where a column has the same number, not −1.

    Every row takes the least row that its ties have taken, and so does the row that it had taken before,
    until nothing changes (Shiloach and Vishkin, "An O(log n) parallel connectivity algorithm", J. Algorithms
    3 (1982), 57–67: hooking and jumping). The number is that of the least row.

    >>> joined(np.array([0, 0, 1, -1]), np.array([-1, 7, 7, -1]))
    array([0, 0, 0, 3])
    """
    taken = np.arange(len(columns[0]), dtype=np.int64)
    while True:
        before = taken
        for column in columns:
            taken = _least(taken, column)
        while not np.array_equal(further := taken[taken], taken):
            taken = further
        if np.array_equal(taken, before):
            return taken


def _least(taken: Rows, column: Rows) -> Rows:
    tied = column >= 0
    if not tied.any():
        return taken
    least = np.full(int(column.max()) + 1, len(taken), dtype=np.int64)
    np.minimum.at(least, column[tied], taken[tied])
    result = taken.copy()
    np.minimum.at(result, taken[tied], least[column[tied]])
    result[tied] = np.minimum(result[tied], least[column[tied]])
    return result


def together(rows: Rows, *keys: Rows) -> Iterator[Rows]:
    """Those of `rows` that agree in all keys, int64 (N,) each, where there are two or more; ascending, in the
    order of their first rows."""
    if not len(rows):
        return
    order = rows[np.lexsort((rows, *(key[rows] for key in keys)))]
    starts = np.zeros(len(order), dtype=np.bool_)
    starts[0] = True
    for key in keys:
        starts[1:] |= key[order[1:]] != key[order[:-1]]
    first = np.flatnonzero(starts)
    size = np.diff(first, append=len(order))
    several = first[size > 1], size[size > 1]
    for place in np.argsort(order[several[0]]):
        start = several[0][place]
        yield order[start : start + several[1][place]]


def best_first(index: DatasetIndex, rows: Rows) -> Rows:
    """The rows with the one worth keeping at the front: most pixels, largest file, shortest path, first."""
    sizes = index.sizes[rows].astype(np.int64).prod(axis=1)
    bytes_ = index.looks["bytes"][rows].astype(np.int64) if len(index.looks) else np.zeros_like(sizes)
    lengths = np.array([len(index.paths[row]) for row in rows.tolist()], dtype=np.int64)
    return rows[np.lexsort((rows, lengths, -bytes_, -sizes))]
