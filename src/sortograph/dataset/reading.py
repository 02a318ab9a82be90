"""Files that a layout has listed → what is known of each photo, read once in worker processes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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


def read_entries(root: Path, entries: Sequence[Entry], keeper: Keeper | None, progress: Progress) -> Columns:
    """Facts of every entry, or the reason why there are none, in the order of the entries.

    What an earlier scan has found is taken from its memory, where `keeper` has the pixels, too.
    """
    columns, told, crew = Columns.empty(len(entries)), _Told(len(entries), progress), shared_crew()
    with ScanMemory(root, crew.begun_at) as memory:
        missing = list(_not_remembered(root, entries, memory, keeper, columns))
        told.more(len(entries) - len(missing))
        paths = (entries[row].path for row, _ in missing)
        readings = crew.read(root, paths, keeper.sizes if keeper else ())
        for (row, stamp), reading in zip(missing, readings, strict=True):
            _take(columns, row, reading, keeper)
            if reading.facts is not None:
                memory.keep(entries[row].path, stamp, reading.facts)
            told.more(1)
    return columns


def unseen(root: Path, entries: Sequence[Entry]) -> list[str]:
    """Paths of those that `read_entries` reads though its keeper wants nothing."""
    with ScanMemory(root) as memory:
        rows = _not_remembered(root, entries, memory, None, Columns.empty(len(entries)))
        return [entries[row].path for row, _ in rows]


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
