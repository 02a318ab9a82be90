"""Worker processes that read photos, each within limits of time and memory.

A photo that hangs the decoder or brings it down costs that photo alone: its worker is replaced, and the rest
goes on. Workers are plain processes of the same Python, so that scripts need no `__main__` guard, notebooks
work, and nothing forks. Where none can be started, such as in frozen programs, threads of this process read
with the same results, without the limits.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sortograph.cores import cores
from sortograph.errors import PhotoCode
from sortograph.images.process import Alone, Process, command
from sortograph.images.worker import Job, Reading
from sortograph.records import PreprocessSpec

__all__ = ["Crew", "Limits", "Reading", "at_once", "shared_crew"]

_CHUNK = 8  # photos of one request
_CHUNK_BYTES = 8_000_000  # of pixels that answer one request
_AHEAD = 4  # requests per worker that are under way
_IDLE = 30.0  # seconds after which a worker without work ends
_START = 60.0  # seconds that a worker may take to start
_MISSES = 2  # starts in a row that may fail before this process reads by itself
_PATIENCE = 5.0  # seconds that a worker may take to end
_CRASHED = "crashed the decoder"


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one photo may take: seconds, and bytes of memory above those of an idle worker.

    Memory is limited on Linux alone; elsewhere the limits on pixels and file sizes have to do.
    """

    seconds: float = 20.0
    memory: int = 1_500_000_000


_USUAL = Limits()


class Crew:
    """Reads photos in worker processes, which start when there is work for them and end when there is none.

    workers: how many at most; None: one for each core that this process may use
    idle: seconds after which a worker without work ends; None: it does not
    May be used by several threads at once.
    """

    def __init__(
        self,
        limits: Limits = _USUAL,
        workers: int | None = None,
        *,
        idle: float | None = _IDLE,
        _command: Sequence[str] | None = None,
    ) -> None:
        self.limits, self.workers, self._idle = limits, workers or cores(), idle
        self._given, self._tick = _command, min(0.5, limits.seconds / 8)
        self._reset()
        _crews.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[_Chunk] = deque()
        self._hands: list[_Hand] = []
        self._free = 0  # hands that wait for work
        self._watching = False
        self._misses = 0
        self._alone = self._given is None and (not sys.executable or hasattr(sys, "frozen"))

    def read(
        self,
        root: Path,
        paths: Iterable[str],
        sizes: Sequence[tuple[PreprocessSpec, float]] = (),
        look: bool = True,
    ) -> Iterator[Reading]:
        """Read photos of a folder or archive; one Reading for each path, in their order.

        paths: relative to the root, posix; taken lazily, a bounded number ahead of what is given back
        sizes: the pixels that are wanted: for each (spec, factor) those of
            `resize(open_photo(data, at_least=spec.decoded(factor)).image, spec, factor)`
        look: whether the facts hold a look

        Nothing is raised for a photo that cannot be read: its Reading says why. May be abandoned half-way.
        Raises CancelledError where the crew is closed meanwhile.
        """
        job = Job(root.absolute(), tuple(sizes), look)
        length = at_once(job)
        source, waiting = iter(paths), deque[Future[list[Reading]]]()
        try:
            while some := list(islice(source, length)):
                waiting.append(self.submit(job, some))
                if len(waiting) >= _AHEAD * self.workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        with self._changed:
            workers = [hand.worker for hand in self._hands]
        return [worker.pid for worker in workers if isinstance(worker, Process)]

    def close(self) -> None:
        """End the workers, and what they are doing. A later `read` starts others."""
        with self._changed:
            hands, self._hands = self._hands, []
            chunks, self._queue = self._queue, deque()
            for hand in hands:
                hand.stopped = True
            self._changed.notify_all()
        for chunk in chunks:
            chunk.future.cancel()
        for hand in hands:
            if (worker := hand.worker) is not None:
                worker.kill()
        for hand in hands:
            hand.thread.join(_PATIENCE)

    def forget(self) -> None:
        """Start anew, in a forked process: the workers belong to the process that it was forked from."""
        workers = [hand.worker for hand in self._hands]
        self._reset()
        for worker in workers:
            if worker is not None:
                worker.forget()

    def submit(self, job: Job, photos: list[str]) -> Future[list[Reading]]:
        """One request for a few photos, whatever the job takes for one; a Reading for each, in their order.

        The future may be cancelled; it has CancelledError where the crew is closed.
        """
        chunk = _Chunk(job, photos)
        with self._changed:
            if self._free <= len(self._queue) and len(self._hands) < self.workers:
                self._hands.append(_Hand(self))
                self._free += 1
            self._queue.append(chunk)
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="sortograph-watch", daemon=True).start()
            self._changed.notify()
        return chunk.future

    def take(self, hand: _Hand) -> _Chunk | None:
        """The next chunk for a hand; None when it has enough to do, or should end."""
        with self._changed:
            if hand.sent:
                # A second request keeps the worker busy while the first is handed over; but the last few are
                # left for hands that have none.
                return self._queue.popleft() if len(self._queue) >= self.workers else None
            self._free += hand.has_worked
            hand.has_worked = True
            self._changed.wait_for(lambda: hand.stopped or self._queue, timeout=self._idle)
            self._free -= 1
            if self._queue and not hand.stopped:
                return self._queue.popleft()
            self._leave(hand)
            return None

    def leave(self, hand: _Hand) -> None:
        with self._changed:
            self._leave(hand)

    def _leave(self, hand: _Hand) -> None:
        if hand in self._hands:
            self._hands.remove(hand)

    def new_worker(self) -> Process | Alone:
        if not self._alone:
            with contextlib.suppress(OSError):
                return self.new_process()
            self._alone = True
        return Alone()

    def new_process(self) -> Process:
        """A worker; others may be given by those who inherit. Raises OSError where none can be started."""
        return Process(self._given or command(self.limits.memory))

    def lost(self, worker: Process | Alone) -> None:
        """Told of every worker that ended by itself: some may not even have started."""
        self._misses = 0 if worker.ready else self._misses + 1
        self._alone = self._alone or self._misses >= _MISSES

    def _watch(self) -> None:
        """Ends workers that do not answer in time.

        Its clock stands still while the computer sleeps or this process is stopped: no photo pays for that.
        """
        clock, last = 0.0, time.monotonic()
        since: dict[tuple[Process | Alone, int], float] = {}
        while (workers := self._watched()) is not None:
            beats = [(worker, worker.beat) for worker in workers]
            since = {beat: since.get(beat, clock) for beat in beats}
            for (worker, beat), start in since.items():
                if worker.owing and clock - start > (self.limits.seconds if worker.ready else _START):
                    worker.condemn(beat)
            time.sleep(self._tick)
            now = time.monotonic()
            clock, last = clock + min(now - last, 2 * self._tick), now

    def _watched(self) -> list[Process | Alone] | None:
        """The workers; None when there is nobody left who might have one."""
        with self._changed:
            self._watching = bool(self._hands)
            return [hand.worker for hand in self._hands if hand.worker] if self._hands else None


class _Chunk:
    """A few photos of one reading, and what came of them so far."""

    def __init__(self, job: Job, paths: list[str]) -> None:
        self.job, self.paths = job, paths
        self.future: Future[list[Reading]] = Future()
        self.readings: list[Reading] = []
        self.suspect = False  # whether the next photo has brought a worker down

    def rest(self) -> list[str]:
        return self.paths[len(self.readings) :]

    def done(self) -> bool:
        return len(self.readings) == len(self.paths)

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.suspect = False

    def refuse(self, reason: str, code: PhotoCode = "crashed") -> None:
        self.add(Reading(None, reason, (), code))


class _Hand:
    """A thread that keeps one worker busy, and replaces it when it is lost."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self.worker: Process | Alone | None = None
        self.sent: deque[_Chunk] = deque()
        self.stopped = self.has_worked = False
        self.thread = threading.Thread(target=self._run, name="sortograph-read", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        failure: Exception = CancelledError()
        try:
            while worker := self._fill():
                self._step(worker)
        except Exception as error:
            failure = error
        self._crew.leave(self)
        if self.worker is not None:
            self.worker.end()
        for chunk in self.sent:
            chunk.future.set_exception(failure)

    def _fill(self) -> Process | Alone | None:
        """The worker, with one or two chunks to do; None when there is nothing to do any more."""
        while len(self.sent) < 2 and (chunk := self._crew.take(self)) is not None:
            if chunk.future.set_running_or_notify_cancel():
                self.sent.append(chunk)
                if self.worker is None:
                    self.worker = self._crew.new_worker()
                self.worker.send(chunk.job, chunk.rest())
        return self.worker if self.sent and not self.stopped else None

    def _step(self, worker: Process | Alone) -> None:
        """One photo: its reply, or the loss of the worker."""
        chunk = self.sent[0]
        reply = worker.receive()
        if reply is not None:
            chunk.add(chunk.job.unpack(reply))
        elif self.stopped:
            return
        else:
            self._blame(chunk, worker)
            self._replace(worker)
        if chunk.done():
            self.sent.popleft().future.set_result(chunk.readings)

    def _blame(self, chunk: _Chunk, worker: Process | Alone) -> None:
        """A worker that ends for the first time may have been ended by others: the photo is tried again."""
        if not worker.ready:
            return
        if worker.late:
            chunk.refuse(f"took longer than {self._crew.limits.seconds:g} s to decode", "slow")
        elif chunk.suspect:
            chunk.refuse(_CRASHED)
        else:
            chunk.suspect = True

    def _replace(self, worker: Process | Alone) -> None:
        self._crew.lost(worker)
        worker.end()
        self.worker = self._crew.new_worker()
        if isinstance(self.worker, Alone) and self.sent[0].suspect:
            self.sent[0].refuse(_CRASHED)  # it shall not bring this process down
        for chunk in self.sent:
            self.worker.send(chunk.job, chunk.rest())


def at_once(job: Job) -> int:
    """Photos that one request may ask for."""
    return max(1, min(_CHUNK, _CHUNK_BYTES // max(1, job.bytes_each())))


_crews: weakref.WeakSet[Crew] = weakref.WeakSet()
_shared = Crew()


def shared_crew() -> Crew:
    """The crew that all rooms share. Its workers start with the first photo and end with the program."""
    return _shared


def _close_all() -> None:
    for crew in list(_crews):
        crew.close()


def _forget_all() -> None:
    for crew in list(_crews):
        crew.forget()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
