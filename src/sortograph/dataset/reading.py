"""Files that a layout has listed → what is known of each photo, read once in worker processes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sortograph.dataset.ahead import Ahead, Sizes
from sortograph.dataset.listing import Entry
from sortograph.dataset.memory import ScanMemory, Stamp, Stamps
from sortograph.images.crew import Reading, shared_crew
from sortograph.records import LOOK, PhotoFacts, PreprocessSpec, Progress, Step

_BATCH = 1000
_PAUSE = 0.1


class Keeper(Protocol):
    """Keeps the pixels of the photos that are read, so that nobody decodes them again.

    sizes: the pixels it wants, each a spec and how much larger than it
    """

    @property
    def sizes(self) -> Sequence[tuple[PreprocessSpec, float]]: ...

    def has(self, sha256: str) -> bool: ...

    def keep(self, facts: PhotoFacts, pixels: Sequence[NDArray[np.uint8]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of N files, a line each.

    sha256 "" and size 0×0 where a photo cannot be read; `reasons` says why, "" for those that can
    """

    sha256: list[str]
    sizes: NDArray[np.int32]
    looks: NDArray[np.void]
    reasons: list[str]

    @classmethod
    def empty(cls, count: int) -> Columns:
        return cls([""] * count, np.zeros((count, 2), np.int32), np.zeros(count, LOOK), [""] * count)

    def put(self, row: int, sha256: str, size: tuple[int, int], look: bytes) -> None:
        self.sha256[row], self.sizes[row] = sha256, size
        self.looks[row] = np.frombuffer(look, LOOK)[0]


@dataclass(frozen=True, slots=True)
class Hastened:
    """A keeper, and the photos that were begun for it."""

    keeper: Keeper
    ahead: Ahead


def read_entries(
    root: Path, entries: Sequence[Entry], keeper: Keeper | Hastened | None, progress: Progress
) -> Columns:
    """Facts of every entry, or the reason why there are none, in the order of the entries.

    What an earlier scan has found is taken from its memory, where `keeper` has the pixels, too.
    """
    ahead = keeper.ahead if isinstance(keeper, Hastened) else None
    kept = keeper.keeper if isinstance(keeper, Hastened) else keeper
    columns, told = Columns.empty(len(entries)), _Told(len(entries), progress)
    with ScanMemory(root) as memory:
        missing = list(_not_remembered(root, entries, memory, kept, columns))
        told.more(len(entries) - len(missing))
        photos = [(entries[row].path, stamp) for row, stamp in missing]
        readings = _readings(root, photos, kept.sizes if kept else (), ahead)
        for (row, stamp), (reading, since) in zip(missing, readings, strict=True):
            _take(columns, row, reading, kept)
            if reading.facts is not None:
                memory.keep(entries[row].path, stamp, reading.facts, since)
            told.more(1)
    if ahead is not None:
        ahead.drop()
    return columns


def coming(root: Path, entries: Sequence[Entry], new_only: bool) -> Iterator[tuple[str, Stamp]]:
    """Photos that `read_entries` will read, with the stamps of their files.

    new_only: leaves out those that an earlier scan has seen
    """
    if not new_only:
        stamps = Stamps(root)
        found = ((entry.path, stamps.of(entry.path)) for entry in entries if not entry.problem)
        yield from ((path, stamp) for path, stamp in found if stamp is not None)
        return
    with ScanMemory(root) as memory:
        for row, stamp in _not_remembered(root, entries, memory, None, Columns.empty(len(entries))):
            if stamp is not None:
                yield entries[row].path, stamp


def _readings(
    root: Path, photos: Sequence[tuple[str, Stamp | None]], sizes: Sizes, ahead: Ahead | None
) -> Iterator[tuple[Reading, int | None]]:
    """Of each photo, and when it was read at the earliest where that was ahead."""
    if ahead is None or not ahead.has_pixels(sizes):
        if ahead is not None:
            ahead.drop()
        for reading in shared_crew().read(root, (path for path, _ in photos), sizes):
            yield reading, None
        return
    is_begun = [ahead.has(path, stamp) for path, stamp in photos]
    others = (path for (path, _), begun in zip(photos, is_begun, strict=True) if not begun)
    readings = shared_crew().read(root, others, sizes)
    for (path, _), begun in zip(photos, is_begun, strict=True):
        if not begun:
            yield next(readings), None
        elif (taken := ahead.take(path)) is not None:
            yield taken, ahead.since
        else:
            yield next(shared_crew().read(root, [path], sizes)), None


def _not_remembered(
    root: Path, entries: Sequence[Entry], memory: ScanMemory, keeper: Keeper | None, columns: Columns
) -> Iterator[tuple[int, Stamp | None]]:
    """Fills in what needs no reading; yields the other rows, each with the stamp of its file."""
    stamps = Stamps(root)
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        taken = [None if entry.problem else stamps.of(entry.path) for entry in batch]
        found = memory.known([entry.path for entry in batch], taken)
        for row, (entry, stamp, known) in enumerate(zip(batch, taken, found, strict=True), start):
            if entry.problem:
                columns.reasons[row] = entry.problem
            elif known is not None and (keeper is None or keeper.has(known.sha256)):
                columns.put(row, known.sha256, (known.width, known.height), known.look)
            else:
                yield row, stamp


def _take(columns: Columns, row: int, reading: Reading, keeper: Keeper | None) -> None:
    facts = reading.facts
    if facts is None:
        columns.reasons[row] = reading.reason
        return
    look = np.asarray(facts.look, dtype=LOOK).tobytes()
    columns.put(row, facts.sha256, (facts.width, facts.height), look)
    if keeper is not None:
        keeper.keep(facts, reading.pixels)


class _Told:
    """Tells how far the reading is, now and then and at its end."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress
        self._last = time.monotonic()

    def more(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if count and (self._done == self._total or now - self._last >= _PAUSE):
            self._last = now
            self._progress(Step("reading photos", self._done, self._total))
