"""Twins: photos of the same picture, be they copies, re-encoded, resized, mirrored or slightly cropped.

Near fingerprints only propose a pair; its pixels, laid on each other, decide. A group is a representative
and the photos that were found to be like it: what is merely like another member stays outside, so that no
chain of small steps joins pictures that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.alike import SIDE, same_picture
from sortograph.dataset.neighbours import Pairs, near_pairs
from sortograph.images.names import composed
from sortograph.records import DatasetIndex, Progress, Step, silent

Ints = NDArray[np.int64]
Read = Callable[[Ints], NDArray[np.uint8]]

SIZE = (SIDE, SIDE)  # (height, width) of the pixels that are compared
LARGE = 0.05  # of the different photos of a class; a group that holds more of them is not merged
SMALL = 6  # a group with at most as many different photos of each class always is
_BATCH = 512  # pairs whose pixels are in memory at once
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Large:
    """Photos of one class that look alike, too many for twins; `share` of its different photos, 0–1.

    paths  one for each content, the representative of the group, or what comes next to it, first
    """

    paths: tuple[str, ...]
    class_name: str
    share: float


@dataclass(frozen=True, slots=True)
class Twins:
    """names: N, for `DatasetIndex.twins`: the path (NFC) of the group's representative, "" without twins."""

    names: tuple[str, ...]
    large: tuple[Large, ...] = ()


def find_twins(index: DatasetIndex, read: Read, progress: Progress = silent) -> Twins:
    """Group the photos of an index that show the same picture.

    read: rows int64 (n,) → uint8 (n, 96, 96, 3), squashed to `SIZE`; n is at most 1,024, and a row may be
    asked for more than once

    Photos of the same sha256 are twins without being read, and the only ones where an index has no looks.
    The representative is the largest picture of its group, then the largest file, then the first path; so
    the result depends neither on the order of the rows nor on the operating system. A group with more than
    `LARGE` of the different photos of a class, and more than `SMALL` of them, is told in `large` instead of
    being merged; exact copies in it stay twins. Time and memory are those of `near_pairs`, and of comparing
    the pixels of at most `NEAREST` pairs a photo, with a few more among the copies of one picture.
    """
    contents = _contents(index)
    firsts = np.array([rows[0] for rows in contents], dtype=np.int64)
    stars = np.arange(len(contents))
    if len(index.looks) and len(contents) > 1:
        pairs = near_pairs(index.looks["fingerprint"][firsts], progress)
        stars = _Judge(read, firsts, progress).stars(pairs)
    large, too_large = _large(index, contents, stars)
    stars = np.where(too_large, np.arange(len(stars)), stars)
    return Twins(_names(index, contents, stars), large)


def _contents(index: DatasetIndex) -> list[list[int]]:
    """Rows of the same sha256, those first that would rather represent a group."""
    areas = np.prod(index.sizes.astype(np.int64), axis=1).tolist()
    sizes = index.looks["bytes"].tolist() if len(index.looks) else [0] * len(index)
    names = [composed(path) for path in index.paths]
    keys = zip(areas, sizes, names, index.sha256, index.paths, strict=True)
    order = [(-area, -size, *rest, row) for row, (area, size, *rest) in enumerate(keys)]
    held: dict[str, list[int]] = {}
    for *_, row in sorted(order):
        held.setdefault(index.sha256[row], []).append(row)
    return list(held.values())


@dataclass(frozen=True, slots=True)
class _Judge:
    """Compares pixels. Photos are numbered by content; `rows` are their rows in the index."""

    read: Read
    rows: Ints
    progress: Progress

    def stars(self, pairs: Pairs) -> Ints:
        """For each photo the one that represents it, or itself, int64 (N,).

        Candidates are a photo's nearest, of which the representative need not be one: so what is like a
        member is compared with its representative, too.
        """
        n = len(self.rows)
        tried = alike = pairs.none()
        stars = np.arange(n)
        for _ in range(_ROUNDS):
            fresh = pairs.without(tried, n)
            if not len(fresh):
                break
            tried = tried.and_also(fresh)
            alike = alike.and_also(fresh.where(self._are_same(fresh))).sorted()
            stars, flips = _stars(alike, n)
            pairs = _detours(alike, stars, flips)
        return stars

    def _are_same(self, pairs: Pairs) -> NDArray[np.bool_]:
        answers = np.zeros(len(pairs), dtype=np.bool_)
        # Pairs that share photos lie together: most photos are then read once.
        order = np.argsort(_components(pairs, len(self.rows)), kind="stable")
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            answers[batch] = self._compared(pairs.where(batch))
            self.progress(Step("comparing pixels", start + len(batch), len(order), "pairs"))
        return answers

    def _compared(self, pairs: Pairs) -> NDArray[np.bool_]:
        needed, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
        pixels = self.read(self.rows[needed])
        first, second = places[: len(pairs)], places[len(pairs) :]
        return same_picture(pixels, first, second, pairs.mirrored)


def _stars(alike: Pairs, n: int) -> tuple[Ints, NDArray[np.bool_]]:
    """The representative of each photo, and whether it shows the photo mirrored; pairs are in order.

    A photo represents others unless it is represented by one before it.
    """
    stars = list(range(n))
    flips = [False] * n
    columns = (alike.first.tolist(), alike.second.tolist(), alike.mirrored.tolist())
    for first, second, mirrored in zip(*columns, strict=True):
        if stars[first] == first and stars[second] == second:
            stars[second], flips[second] = first, mirrored
    return np.array(stars, dtype=np.int64), np.array(flips, dtype=np.bool_)


def _detours(alike: Pairs, stars: Ints, flips: NDArray[np.bool_]) -> Pairs:
    """For photos that are alike but have different representatives: each with that of the other."""
    apart = alike.where(stars[alike.first] != stars[alike.second])
    ends = [
        (stars[apart.first], apart.second, apart.mirrored ^ flips[apart.first]),
        (stars[apart.second], apart.first, apart.mirrored ^ flips[apart.second]),
    ]
    one, other, mirrored = (np.concatenate(column) for column in zip(*ends, strict=True))
    return Pairs(np.minimum(one, other), np.maximum(one, other), mirrored).sorted()


def _components(pairs: Pairs, n: int) -> Ints:
    """For each pair the smallest photo that is joined with it, also through other pairs."""
    least = np.arange(n)
    while True:
        before = least.copy()
        low = np.minimum(least[pairs.first], least[pairs.second])
        np.minimum.at(least, pairs.first, low)
        np.minimum.at(least, pairs.second, low)
        least = least[least]
        if np.array_equal(least, before):
            return least[pairs.first]


def _large(
    index: DatasetIndex, contents: list[list[int]], stars: Ints
) -> tuple[tuple[Large, ...], NDArray[np.bool_]]:
    """Groups that hold too much of a class; and of each content, whether it is in one."""
    held: dict[tuple[int, int], list[int]] = {}  # (representative, label) → one row for each content
    photos: Counter[int] = Counter()
    for star, rows in zip(stars.tolist(), contents, strict=True):
        for label, row in {int(index.labels[row]): row for row in reversed(rows)}.items():
            held.setdefault((star, label), []).append(row)
            photos[label] += 1
    found = [
        (star, Large(tuple(index.paths[row] for row in rows), _class_name(index, label), share))
        for (star, label), rows in sorted(held.items())
        if len(rows) > SMALL and (share := len(rows) / photos[label]) > LARGE
    ]
    too_large = np.isin(stars, np.array([star for star, _ in found], dtype=np.int64))
    return tuple(group for _, group in found), too_large


def _class_name(index: DatasetIndex, label: int) -> str:
    return index.classes[label] if label >= 0 else "(unlabelled)"


def _names(index: DatasetIndex, contents: list[list[int]], stars: Ints) -> tuple[str, ...]:
    members: dict[int, list[int]] = {}
    for star, rows in zip(stars.tolist(), contents, strict=True):
        members.setdefault(star, []).extend(rows)
    names = [""] * len(index)
    for star, rows in members.items():
        if len(rows) > 1:
            name = composed(index.paths[contents[star][0]])
            for row in rows:
                names[row] = name
    return tuple(names)
