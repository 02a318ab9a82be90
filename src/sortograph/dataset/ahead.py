"""Photos that are read before the scan that wants them, while the program is busy with something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sortograph.dataset.memory import Stamp
from sortograph.errors import SortographError
from sortograph.images.crew import Reading, at_once, shared_crew
from sortograph.images.worker import Job
from sortograph.records import PreprocessSpec

_BYTES = 200_000_000  # of pixels that may wait
Sizes = Sequence[tuple[PreprocessSpec, float]]
# The root, and what a scan will read there, in its order, with the stamps of the files.
Coming = Callable[[], tuple[Path, Iterator[tuple[str, Stamp]]]]


@dataclass(frozen=True, slots=True)
class _Begun:
    """One photo: its stamp before it was read, and where its reading will be."""

    stamp: Stamp
    readings: Future[list[Reading]]
    place: int


class Ahead:
    """Has the first photos of one scan read by the workers; to be dropped in the end.

    What has changed since it was begun, or could not be read, is not given: the scan reads it again.
    """

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}
        self._resized: list[tuple[str, float]] = []
        self._thread: threading.Thread | None = None
        self._is_dropped = False
        self.since = 0  # no photo was read before, in ns since the epoch

    def begin(self, coming: Coming, sizes: Sizes) -> None:
        """Returns at once. Nothing is begun twice; what was begun with other sizes is dropped."""
        if self._resized == _resized(sizes):
            return
        self.drop()
        self._is_dropped, self._resized, self.since = False, _resized(sizes), time.time_ns()
        work = (coming, tuple(sizes))
        self._thread = threading.Thread(target=self._run, args=work, name="sortograph-ahead", daemon=True)
        self._thread.start()

    def _run(self, coming: Coming, sizes: Sizes) -> None:
        try:
            root, photos = coming()
        except SortographError:
            return  # which the scan tells
        job = Job(root.absolute(), tuple(sizes))
        length = at_once(job)
        for _ in range(_BYTES // (length * max(1, job.bytes_each()))):
            some = list(islice(photos, length))
            if not some or self._is_dropped:
                return
            readings = shared_crew().submit(job, [path for path, _ in some])
            for place, (path, stamp) in enumerate(some):
                self._begun[path] = _Begun(stamp, readings, place)

    def has_pixels(self, sizes: Sizes) -> bool:
        """Whether the photos are read as a scan wants them. Waits until all are begun."""
        if self._thread is not None:
            self._thread.join()
        return self._resized == _resized(sizes)

    def has(self, path: str, stamp: Stamp | None) -> bool:
        """Whether the photo was begun, and is what it was then."""
        begun = self._begun.get(path)
        return begun is not None and begun.stamp == stamp

    def take(self, path: str) -> Reading | None:
        """A photo that `has` told of; waits until it is read. None where it has to be read again."""
        begun = self._begun.pop(path, None)  # a table may name a photo twice
        try:
            reading = begun.readings.result()[begun.place] if begun else None
        except CancelledError:
            return None
        return reading if reading and reading.facts else None

    def drop(self) -> None:
        """Forget what nobody took."""
        self._is_dropped = True
        if self._thread is not None:
            self._thread.join()
        for begun in self._begun.values():
            begun.readings.cancel()
        self._begun, self._resized, self._thread = {}, [], None


def _resized(sizes: Sizes) -> list[tuple[str, float]]:
    """What decides on the pixels: not how a model normalises them."""
    return [(spec.resize_key(), factor) for spec, factor in sizes]
