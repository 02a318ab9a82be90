"""Photos whose fingerprints are near: candidates for twins, found without comparing all with all.

A fingerprint holds the longest waves of a photo. Waves of a crop follow from those of the whole by a matrix,
so that every photo is looked up as it is and as crops of itself, without its pixels. Mirroring changes the
signs of waves that are odd from side to side; the squares of a grid over waves that are even, and the size
of one that is odd, are the same for both.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sortograph.cores import cores
from sortograph.records import Progress, Step, silent
from sortograph.records.looks import UNIT, WAVES

Ints = NDArray[np.int64]
Reals = NDArray[np.float32]
View = tuple[NDArray[np.float64], NDArray[np.float64]]  # for the rows, for the columns

NEAREST = 8  # candidates that a photo may have by itself; others may have it among theirs
FEW = 50_000  # photos that are searched with the wider mesh
_USED = 6  # waves a side that are compared
# (row, column) of the waves that make the grid, and by how much those of twins may differ.
_AXES = (
    ((1, 0), 0.03),
    ((2, 0), 0.06),
    ((0, 2), 0.045),
    ((1, 2), 0.045),
    ((2, 2), 0.055),
    ((3, 0), 0.09),
)
_SORTED, _REACH, _STEPS = (0, 1), 0.03, 1 << 12  # orders the photos of one square
_QUERIES = 512  # looked up together
_THREADS = 8  # at the most: each needs 30 MB where photos are all alike
_CROWD = 128  # photos of one square that one look-up reads: the nearest by `_SORTED`


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs of rows, int64 (n,), first < second; mirrored, bool (n,)."""

    first: Ints
    second: Ints
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: NDArray[np.bool_] | Ints) -> Pairs:
        return Pairs(self.first[chosen], self.second[chosen], self.mirrored[chosen])

    def none(self) -> Pairs:
        return self.where(np.zeros(0, dtype=np.int64))

    def sorted(self) -> Pairs:
        """In ascending order; of pairs that are there twice, the first."""
        ordered = self.where(np.lexsort((self.second, self.first)))
        return ordered.where(starts(ordered.first, ordered.second))

    def and_also(self, others: Pairs) -> Pairs:
        return Pairs(
            np.concatenate([self.first, others.first]),
            np.concatenate([self.second, others.second]),
            np.concatenate([self.mirrored, others.mirrored]),
        )

    def without(self, others: Pairs, n: int) -> Pairs:
        """Those pairs of n rows that are not among `others`."""
        return self.where(~np.isin(self.first * n + self.second, others.first * n + others.second))


def near_pairs(fingerprints: NDArray[np.int16], progress: Progress = silent) -> Pairs:
    """Pairs of photos that may be twins, in ascending order; fingerprints are int16 (N, 64).

    Found is every pair of which one lies within a radius of the other or of a crop of it, mirrored or not,
    and within the tolerances of the grid, as long as fewer than `_CROWD` photos share a square; of crowds
    only the nearest by one wave are read. More than `FEW` photos are searched with smaller tolerances, and
    with fewer crops. A photo gives its `NEAREST` such pairs. Photos of one colour give none.
    Time grows like n log n while squares hold few photos; the crowd bounds it for photos all alike.
    """
    rows = np.flatnonzero(
        np.einsum("ij,ij->i", fingerprints, fingerprints, dtype=np.int64) > (UNIT // 2) ** 2
    )
    mesh = _WIDE if len(rows) <= FEW else _NARROW
    squares = _Squares.of(_whole_vectors(fingerprints, rows), mesh)
    parts = [squares.order[start : start + _QUERIES] for start in range(0, len(rows), _QUERIES)]
    found: list[tuple[Ints, Ints, Reals]] = []
    pool = ThreadPoolExecutor(min(cores(), _THREADS), "sortograph-near")
    try:
        for nearest in pool.map(lambda asked: _nearest(asked, fingerprints[rows[asked]], squares), parts):
            found.append(nearest)
            done = min(len(found) * _QUERIES, len(rows))
            progress(Step("comparing fingerprints", done, len(rows)))
    finally:  # after Ctrl-C, nothing more is begun
        pool.shutdown(cancel_futures=True)
    return _joined(rows, found)


def _nearest(asked: Ints, fingerprints: NDArray[np.int16], squares: _Squares) -> tuple[Ints, Ints, Reals]:
    """(query, neighbour, signed likeness) of the nearest neighbours of the photos that are `asked`."""
    parts = []
    for view in squares.mesh.views:
        query, other, likeness = squares.around(_vectors(fingerprints, view))
        distinct = asked[query] != other
        parts.append((query[distinct], other[distinct], likeness[distinct]))
    query, other, likeness = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((-np.abs(likeness), other, query))
    query, other, likeness = query[order], other[order], likeness[order]
    best = starts(query, other)
    query, other, likeness = query[best], other[best], likeness[best]
    order = np.lexsort((other, -np.abs(likeness), query))
    place = np.arange(len(order)) - np.searchsorted(query[order], query[order])
    order = order[place < NEAREST]
    return asked[query[order]], other[order], likeness[order]


def starts(*columns: Ints) -> NDArray[np.bool_]:
    """Whether a line differs from the one before, for sorted columns (n,)."""
    fresh = np.ones(len(columns[0]), dtype=np.bool_)
    fresh[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return fresh


def _joined(rows: Ints, found: list[tuple[Ints, Ints, Reals]]) -> Pairs:
    """Each pair once, mirrored or not as where it is most alike."""
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.zeros(0, dtype=np.bool_))
    query, other, likeness = (np.concatenate(column) for column in zip(*found, strict=True))
    query, other = rows[query], rows[other]
    first, second = np.minimum(query, other), np.maximum(query, other)
    order = np.lexsort((likeness, -np.abs(likeness), second, first))
    first, second, likeness = first[order], second[order], likeness[order]
    once = starts(first, second)
    return Pairs(first[once], second[once], likeness[once] < 0)


def _crop(start: float, kept: float) -> NDArray[np.float64]:
    """(WAVES, WAVES): waves of a line → waves of its part from `start` on that is `kept` of its length."""
    places = (np.arange(512) + 0.5) / 512
    waves = np.arange(WAVES)[:, None]
    scale = np.where(waves == 0, 1, np.sqrt(2))
    part = scale * np.cos(np.pi * waves * places)
    whole = scale * np.cos(np.pi * waves * (start + kept * places))
    matrix: NDArray[np.float64] = part @ whole.T / 512
    return matrix


def _crops(kept: float) -> tuple[View, ...]:
    """Nine crops that keep a part of the width and of the height; the one in the middle is the fifth."""
    cuts = [_crop(start, kept) for start in (0, (1 - kept) / 2, 1 - kept)]
    return tuple(product(cuts, cuts))


_WHOLE: View = (np.eye(WAVES), np.eye(WAVES))
_ROW, _COLUMN = (axis.ravel()[1:] for axis in np.indices((_USED, _USED)))
_ODD = _COLUMN % 2 == 1
# Photos have strong long waves whatever they show; this gives the shorter ones, which tell them apart, a say.
_WEIGHTS = np.hypot(_ROW, _COLUMN)


def _place(wave: tuple[int, int]) -> int:
    return wave[0] * _USED + wave[1] - 1


def _vectors(fingerprints: NDArray[np.int16], view: View) -> Reals:
    """Weighted waves of a view of each photo, float32 (N, 35), of norm 1."""
    waves = fingerprints.reshape(-1, WAVES, WAVES).astype(np.float64)
    waves = (view[0] @ waves @ view[1].T)[:, _ROW, _COLUMN] * _WEIGHTS
    norms = np.sqrt(np.square(waves).sum(axis=1, keepdims=True))
    return np.asarray(waves / np.maximum(norms, 1e-9), dtype=np.float32)


_PLACES = np.array([_place(wave) for wave, _ in _AXES])


@dataclass(frozen=True, slots=True)
class _Mesh:
    """A grid over the waves of `_AXES`, and what is looked up in it.

    radius      between the vectors of two photos
    views       how a photo is looked up: as it is, and as crops of itself
    tolerances  float32 (6,), of each axis
    reach       in steps of the wave that orders the photos of one square
    strides     int64 (6,): squares are numbered by their place along the axes @ strides
    corners     int64 (64,): from one square to itself and its upper neighbours
    """

    radius: float
    views: tuple[View, ...]
    tolerances: Reals
    reach: int
    strides: Ints
    corners: Ints

    @classmethod
    def of(cls, scale: float, radius: float, crops: tuple[View, ...]) -> _Mesh:
        tolerances = np.array([scale * tolerance for _, tolerance in _AXES], dtype=np.float32)
        spans = 2 * np.ceil(0.5 / tolerances).astype(np.int64) + 4
        strides = np.concatenate([[1], np.cumprod(spans[:-1])])
        corners = np.array(list(product((0, 1), repeat=len(_AXES)))) @ strides
        reach = int(np.ceil(scale * _REACH * _STEPS))
        return cls(radius, (_WHOLE, *crops), tolerances, reach, strides, corners)

    def squares(self, axes: Reals) -> Ints:
        """Squares that hold the waves (n, 6). They are two tolerances wide: two squares a side hold whatever
        lies within the tolerance."""
        return np.asarray(np.floor(axes / (2 * self.tolerances)).astype(np.int64) @ self.strides)


_NARROW = _Mesh.of(1.0, 0.35, (*_crops(0.95), _crops(0.90)[4]))
_WIDE = _Mesh.of(1.5, 0.40, _crops(0.95) + _crops(0.90))


def _whole_vectors(fingerprints: NDArray[np.int16], rows: Ints) -> Reals:
    vectors = np.empty((len(rows), len(_WEIGHTS)), dtype=np.float32)
    for start in range(0, len(rows), _QUERIES):
        part = slice(start, start + _QUERIES)
        vectors[part] = _vectors(fingerprints[rows[part]], _WHOLE)
    return vectors


@dataclass(frozen=True, slots=True)
class _Squares:
    """Photos ordered by their square of the grid, and in it by one more wave.

    order    int64 (N,): rows of `vectors`
    keys     int64 (N,): square · `_STEPS` + wave, ascending
    vectors  float32 (N, 35), in the order of rows
    axes     float32 (N, 6): the waves of the grid, in the order of `keys`
    """

    order: Ints
    keys: Ints
    vectors: Reals
    axes: Reals
    mesh: _Mesh

    @classmethod
    def of(cls, vectors: Reals, mesh: _Mesh) -> _Squares:
        axes = vectors[:, _PLACES]
        keys = mesh.squares(axes) * _STEPS + _level(vectors)
        order = np.argsort(keys, kind="stable")
        return cls(order, keys[order], vectors, axes[order], mesh)

    def around(self, queries: Reals) -> tuple[Ints, Ints, Reals]:
        """(query, row, signed likeness) of all photos near the queries, float32 (n, 35).

        The likeness is the cosine, below 0 where the row is like the mirrored query.
        """
        query, place = self._crowds(queries)
        for axis, tolerance in enumerate(self.mesh.tolerances):
            gap = queries[query, _PLACES[axis]] - self.axes[place, axis]
            near = np.abs(gap) <= tolerance
            query, place = query[near], place[near]
        row = self.order[place]
        products = queries[query] * self.vectors[row]
        odd = products[:, _ODD].sum(axis=1)
        likeness = products[:, ~_ODD].sum(axis=1) + np.abs(odd)
        near = likeness >= 1 - self.mesh.radius**2 / 2
        return query[near], row[near], np.where(odd < 0, -likeness, likeness)[near]

    def _crowds(self, queries: Reals) -> tuple[Ints, Ints]:
        """(query, place in the order) of what lies in the squares that the tolerances reach."""
        corners, reach = self.mesh.corners, self.mesh.reach
        corner = self.mesh.squares(queries[:, _PLACES] - self.mesh.tolerances)
        squares = ((corner[:, None] + corners) * _STEPS).ravel()
        level = np.repeat(_level(queries), len(corners))
        sort = np.argsort(squares)  # needles in order find their places several times as fast
        squares, level = squares[sort], level[sort]
        low = np.searchsorted(self.keys, squares + np.maximum(level - reach, 0))
        high = np.searchsorted(self.keys, squares + np.minimum(level + reach, _STEPS - 1), side="right")
        low, high = self._thinned(low, high, squares + level)
        counts = high - low
        query = np.repeat(sort // len(corners), counts)
        steps = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        return query, np.repeat(low, counts) + steps

    def _thinned(self, low: Ints, high: Ints, keys: Ints) -> tuple[Ints, Ints]:
        """Ranges cut down to `_CROWD` photos around their keys."""
        many = np.flatnonzero(high - low > _CROWD)
        middle = np.searchsorted(self.keys, keys[many])
        low, high = low.copy(), high.copy()
        low[many] = np.clip(middle - _CROWD // 2, low[many], high[many] - _CROWD)
        high[many] = low[many] + _CROWD
        return low, high


def _level(vectors: Reals) -> Ints:
    """The wave that orders photos of one square, int64 (N,) in 0 … `_STEPS` − 1, the same when mirrored."""
    size = np.abs(vectors[:, _place(_SORTED)])
    return np.asarray(np.minimum(size * _STEPS, _STEPS - 1), dtype=np.int64)
