"""Photos that probably show the same picture, beyond the near duplicates that splits keep together.

Candidates are photos with near fingerprints, and photos with near embeddings where a backbone is at hand.
Pixels decide, as for near duplicates; or by a softer rule, for copies that were blurred or altered. A group
is one photo and what is like it, so that there are no chains. What is found here has no say in splits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.auditing import kin
from sortograph.auditing.nearest import centred, near_rows
from sortograph.dataset.alike import OVERLAP, are_same, likeness, soft_likeness
from sortograph.dataset.neighbours import NEAREST, Pairs, near_pairs
from sortograph.records import DatasetIndex, FeatureTable, Progress, Step, silent
from sortograph.records.looks import UNIT, WAVES

Read = Callable[[kin.Rows], NDArray[np.uint8]]
Reals = NDArray[np.float32]

# Chosen on weather and half of cats-dogs with planted copies, with handwriting and, for the first, blurred
# photos of sports100 in view: of 815 photos of digits, sheets that differ reach 0.915, and above 0.85 a
# cosine of 0.94, which hangs on what else is there.
_WHOLE, _MATCHED = 0.85, 0.92
_AGREED_MATCHED, _AGREED = 0.85, 0.95
_LEAST_COSINE = 0.3  # of embeddings that propose a pair
_LEAST_WAVES = 0.7  # cosine of the fingerprints of such a pair; photos cropped by 10 % have 0.63 to 1
_LEAST_SIDE = 32  # pixels; tinier pictures have too few to tell a soft copy from another picture
_BATCH = 128  # pairs whose pixels are in memory at once
_ODD = np.arange(WAVES * WAVES) % WAVES % 2 == 1  # waves whose sign changes with mirroring


@dataclass(frozen=True, slots=True)
class Likely:
    """For N rows of an index.

    groups  int64 (N,): rows of one number probably show the same, beyond those tied by content or twins;
            −1 for most
    sure    bool (N,): confirmed by the rule for near duplicates, or the photo that stands for the group
    """

    groups: kin.Rows
    sure: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Found:
    """Pairs of rows that show the same; `sure`, bool (n,), by the rule for near duplicates."""

    pairs: Pairs
    sure: NDArray[np.bool_]


def find_likely(
    index: DatasetIndex, features: FeatureTable | None, read: Read, progress: Progress = silent
) -> Likely:
    """Search an index with looks and twins.

    read: rows int64 (n,) → uint8 (n, 96, 96, 3), as for `find_twins`; n is at most 256
    """
    tied = kin.joined(kin.contents(index), kin.twins(index))
    _, firsts = np.unique(kin.contents(index), return_index=True)
    rows = np.sort(firsts)[index.sizes[np.sort(firsts)].min(axis=1) >= _LEAST_SIDE]
    prints = index.looks["fingerprint"]
    found = near_pairs(prints[rows], progress)
    candidates = Pairs(rows[found.first], rows[found.second], found.mirrored)
    cosines = _Cosines(index, features)
    candidates = candidates.and_also(cosines.candidates(rows, prints, progress)).sorted()
    candidates = candidates.where(tied[candidates.first] != tied[candidates.second])
    return _grouped(index, tied, _judged(candidates, cosines, read, progress))


class _Cosines:
    """Of centred embeddings; rows without embeddings are like nothing."""

    def __init__(self, index: DatasetIndex, features: FeatureTable | None) -> None:
        self._places = np.full(len(index), -1, dtype=np.int64)
        self._units = np.zeros((0, 1), dtype=np.float32)
        if features is not None and len(features.rows):
            self._places[features.rows] = np.arange(len(features.rows))
            self._units = centred(features.features)

    def candidates(self, rows: kin.Rows, prints: NDArray[np.int16], progress: Progress) -> Pairs:
        """Pairs of these rows with near embeddings, whose fingerprints do not contradict them."""
        held = rows[self._places[rows] >= 0]
        first, second = near_rows(self._units[self._places[held]], NEAREST, _LEAST_COSINE, progress)
        first, second = held[first], held[second]
        likeness = _waves_alike(prints, first, second)
        pairs = Pairs(first, second, likeness < 0)
        return pairs.where(np.abs(likeness) >= _LEAST_WAVES)

    def of(self, pairs: Pairs) -> Reals:
        """float32 (n,), −1 where one of the two has no embedding."""
        first, second = self._places[pairs.first], self._places[pairs.second]
        known = (first >= 0) & (second >= 0)
        cosines = np.full(len(pairs), -1, dtype=np.float32)
        cosines[known] = np.einsum("nd,nd->n", self._units[first[known]], self._units[second[known]])
        return cosines


def _waves_alike(prints: NDArray[np.int16], first: kin.Rows, second: kin.Rows) -> Reals:
    """Cosine of the fingerprints of n pairs, float32 (n,), below 0 where one is like the other mirrored."""
    found = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 1 << 16):
        part = slice(start, start + (1 << 16))
        one, other = (prints[rows[part]].astype(np.float32) / UNIT for rows in (first, second))
        odd = np.einsum("nw,nw->n", one[:, _ODD], other[:, _ODD])
        likeness = np.einsum("nw,nw->n", one[:, ~_ODD], other[:, ~_ODD]) + np.abs(odd)
        likeness /= np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-6)
        found[part] = np.where(odd < 0, -likeness, likeness)
    return found


def _judged(pairs: Pairs, cosines: _Cosines, read: Read, progress: Progress) -> _Found:
    same, sure = np.zeros((2, len(pairs)), dtype=np.bool_)
    agreed = cosines.of(pairs) >= _AGREED
    for start in range(0, len(pairs), _BATCH):
        part = slice(start, start + _BATCH)
        first, second = _pixels(pairs.where(np.arange(len(pairs))[part]), read)
        found = likeness(first, second)
        sure[part] = are_same(found)
        perhaps = np.flatnonzero(~sure[part] & (found.whole >= _WHOLE) & (found.overlap >= OVERLAP))
        if len(perhaps):
            needed = np.where(agreed[part][perhaps], _AGREED_MATCHED, _MATCHED)
            same[start + perhaps] = soft_likeness(first[perhaps], second[perhaps]) >= needed
        progress(Step("comparing soft copies", min(start + _BATCH, len(pairs)), len(pairs), "pairs"))
    same |= sure
    return _Found(pairs.where(same), sure[same])


def _pixels(pairs: Pairs, read: Read) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Of the first and of the second photos, uint8 (n, 96, 96, 3) each, mirrored where they are."""
    needed, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    pixels = read(needed)
    others = pixels[places[len(pairs) :]]
    flipped = np.where(pairs.mirrored[:, None, None, None], others[:, :, ::-1], others)
    return pixels[places[: len(pairs)]], flipped


def _grouped(index: DatasetIndex, tied: kin.Rows, found: _Found) -> Likely:
    """Stars: the best photos first, each takes what is like it and is not taken yet, with all its copies."""
    rank = np.empty(len(index), dtype=np.int64)
    rank[kin.best_first(index, np.arange(len(index)))] = np.arange(len(index))
    best = np.full(len(index), len(index), dtype=np.int64)  # of each unit of copies, its best row's rank
    np.minimum.at(best, tied, rank)
    edges: dict[tuple[int, int], bool] = {}
    columns = (tied[found.pairs.first].tolist(), tied[found.pairs.second].tolist(), found.sure.tolist())
    for first, second, sure in zip(*columns, strict=True):
        edge = (first, second) if best[first] < best[second] else (second, first)
        edges[edge] = edges.get(edge, False) or sure
    star: dict[int, int] = {}
    certain: dict[int, bool] = {}
    for (one, other), sure in sorted(edges.items(), key=lambda edge: (best[edge[0][0]], best[edge[0][1]])):
        if star.setdefault(one, one) == one and star.get(other, -1) == -1:
            star[other], certain[other], certain[one] = one, sure, True
    held = {unit for unit, stands in star.items() if stands != unit}
    held |= {star[unit] for unit in held}
    units = tied.tolist()
    groups = [star[unit] if unit in held else -1 for unit in units]
    sure_rows = [certain.get(unit, False) for unit in units]
    return Likely(np.array(groups, dtype=np.int64), np.array(sure_rows, dtype=np.bool_))
