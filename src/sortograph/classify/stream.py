"""Many photos: several threads that each read some and run the model on them, and answers in order.

A thread that has decoded photos hands them to nobody: it runs the model on them by itself, on a session of
one thread. No core then waits for another, neither between decoding and the model nor within an operator. And
it takes a chunk of photos at a time, for several calls of the model: changing often between decoding and the
model, and between threads that all want the interpreter, costs warm caches and time to wake up. MobileNetV2
at 224 pixels on two cores answers 267 photos a second with chunks of 2, 278 with chunks of 8, 287 of 32.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Protocol, TypeVar

from sortograph.cores import cores

Item = TypeVar("Item")
Found = TypeVar("Found")
Answer = TypeVar("Answer")


class _Sliced(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


Photos = TypeVar("Photos", bound=_Sliced)

_AHEAD = 2  # chunks for each thread, under way or waiting
_GLANCE = 0.005  # seconds between two looks at whether a source has more
_TRIES = 3  # calls that each size of a batch is measured by
_BETTER = 0.98  # of the time of a smaller batch, below which the larger one is taken
_LARGEST = 32
_BATCH_PIXELS = 1 << 18  # what is worked on must fit into caches, and into little memory
_CHUNK_PIXELS = 1 << 21  # 6 MB that a thread has decoded and not answered yet
_CHUNK_SECONDS = 0.2  # that a chunk takes, and that a source is waited for
_CHUNK_SHARE = 8  # a thread gets an eighth of what it had so far: at the end no core waits long for another
_WINDOW = 1.0  # seconds that a number of threads is tried for
_FEWER = 1.05  # how much faster fewer threads must be
_FEW = 4  # threads below which fewer are not tried


def batch_sizes(size: tuple[int, int], *, shallow: bool = False) -> tuple[int, ...]:
    """The sizes of batches to try for photos of `size` = (height, width), ascending.

    shallow: the model is, as a `Bundle` tells

    >>> batch_sizes((224, 224)), batch_sizes((64, 64)), batch_sizes((600, 600))
    ((1, 2, 4), (1, 2, 4, 8, 16, 32), (1,))
    >>> batch_sizes((224, 224), shallow=True)
    (1, 2, 4, 8)
    """
    most = max(1, min(_LARGEST, _BATCH_PIXELS * (2 if shallow else 1) // (size[0] * size[1])))
    return tuple(1 << k for k in range(most.bit_length()))


def largest_chunk(size: tuple[int, int]) -> int:
    """How many photos of `size` = (height, width) a thread may get at once.

    >>> largest_chunk((224, 224)), largest_chunk((600, 600))
    (32, 5)
    """
    return max(1, min(_LARGEST, _CHUNK_PIXELS // (size[0] * size[1])))


def ordered(
    source: Iterator[Item],
    work: Callable[[list[Item]], Sequence[Answer]],
    pace: Pace,
    idle: Callable[[], bool] = lambda: False,
) -> Iterator[Answer]:
    """`work` on chunks of the source, on the threads of `pace`; what it gives, in the order of the source.

    The source is asked in the caller's thread alone, as far ahead as keeps the threads busy; while it is
    `idle`, what it gave so far is answered first. What `work` raises is raised here, after the answers to all
    chunks before. Threads have ended when the iterator has: with the photo in hand where `work` takes those
    that `pace.each` gives.
    """
    waiting: deque[Future[Sequence[Answer]]] = deque()
    pool = ThreadPoolExecutor(pace.runners, "sortograph-predict")
    try:
        while chunk := _chunk(source, size := pace.chunk(), idle):
            for part in pace.parts(chunk, size):
                waiting.append(pool.submit(pace.guarded, work, part))
            while len(waiting) > _AHEAD * pace.runners or _is_first(waiting, idle):
                yield from waiting[0].result()
                waiting.popleft()
        while waiting:
            yield from waiting[0].result()
            waiting.popleft()
    finally:  # also when nobody asks for the rest
        pace.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        _settle(waiting)
        pool.shutdown()


def _is_first(waiting: Sequence[Future[Answer]], idle: Callable[[], bool]) -> bool:
    """Whether the oldest of what is under way is done, now or before a source that pauses has more."""
    while waiting and not waiting[0].done() and idle():
        wait([waiting[0]], timeout=_GLANCE)
    return bool(waiting) and waiting[0].done()


def _chunk(source: Iterator[Item], size: int, idle: Callable[[], bool]) -> list[Item]:
    """The next items; fewer at the end, and where the source pauses or is slow."""
    chunk, begun = list[Item](), time.monotonic()
    for item in islice(source, size):
        chunk.append(item)
        if idle() or time.monotonic() - begun > _CHUNK_SECONDS:
            break
    return chunk


def _settle(futures: Collection[Future[Sequence[Answer]]]) -> None:
    """Until none of them runs. Ctrl-C is put off: an interpreter that ends under a model's thread aborts."""
    interrupted = False
    # Those that were cancelled are done, but `wait` would wait for them.
    while running := [future for future in futures if not future.done()]:
        try:
            wait(running)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt


class Pace:
    """How many photos a thread and a call of the model get, and how many threads work: measured on the job.

    sizes: of batches, each of one call, ascending; the first calls get some of each, and all others what took
        the least time for a photo
    most: photos that a thread gets at once; it gets those of one call at the least
    runners: threads at the most; None: one for each core. Of four or more, half of them are tried for a
        second, and kept where they get more done: cores that share a cache may.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        runners: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
        *,
        most: int = 1,
    ) -> None:
        self.runners = runners or cores()
        self._sizes, self._most, self._clock = tuple(sizes), most, clock
        self._tries = (
            deque(size for _ in range(_TRIES) for size in self._sizes) if len(sizes) > 1 else deque()
        )
        self._seconds: dict[int, list[float]] = {size: [] for size in self._sizes}
        self._calls: list[int] = []  # sizes of those that were timed
        self._cut = 0  # calls with fewer photos than were asked for
        self._chosen: int | None = None if len(sizes) > 1 else self._sizes[0]
        self._given, self._pace = 0, 0.0  # photos so far; and of a thread in a second
        self._stopped = False
        self._crowd = _Crowd(self.runners, clock)

    def chunk(self) -> int:
        """Photos that a thread gets next: for one call, as long as calls or threads are being tried."""
        batch = self._batch()
        if self._chosen is None or not self._crowd.settled:
            return batch
        share = self._given // (_CHUNK_SHARE * self.runners)
        return batch * max(1, int(min(self._most, share, _CHUNK_SECONDS * self._pace)) // batch)

    def parts(self, chunk: list[Item], size: int) -> list[list[Item]]:
        """What threads get of a chunk: where it has fewer photos than `size`, all of them share it."""
        self._given += len(chunk)
        if len(chunk) == size:
            return [chunk]
        self._crowd.again()
        if self._chosen is None:  # a call with fewer photos tells no pace
            self._tries.appendleft(size)
            self._cut += 1
            return [chunk]
        length = self._chosen * -(-len(chunk) // (self._chosen * self.runners))
        return [chunk[first : first + length] for first in range(0, len(chunk), length)]

    def _batch(self) -> int:
        """Photos of the next call."""
        if self._chosen is None and self._tries:
            return self._tries.popleft()
        if self._chosen is None and len(self._calls) >= _TRIES * len(self._sizes) + self._cut:
            known = {size: min(seconds) for size, seconds in self._seconds.items() if seconds}
            self._chosen = best_size(known) if known else self._sizes[-1]
        return self._chosen or self._sizes[-1]

    def stop(self) -> None:
        """Nobody wants what is in hand: threads end with the photo or the call that they are at."""
        self._stopped = True

    def each(self, photos: Iterable[Item]) -> Iterator[Item]:
        """The photos of a chunk, one by one. Raises CancelledError after `stop`."""
        for photo in photos:
            if self._stopped:
                raise CancelledError
            yield photo

    def guarded(self, work: Callable[[list[Item]], Found], chunk: list[Item]) -> Found:
        """Work on a chunk, as soon as no more threads are at it than are good."""
        with self._crowd:
            start = self._clock()
            found = work(chunk)
            self._pace = len(chunk) / max(self._clock() - start, 1e-9)
        if self._chosen is not None:
            self._crowd.told(len(chunk))
        return found

    def calls(self, call: Callable[[Photos], Found], photos: Photos) -> Iterator[Found]:
        """What the model says of the photos of one chunk, call by call; nothing of none."""
        size = self._chosen
        if not len(photos):
            return
        if size is None:
            yield self._timed(call, photos)
            return
        for first in self.each(range(0, len(photos), size)):
            yield call(photos[first : first + size])

    def _timed(self, call: Callable[[Photos], Found], photos: Photos) -> Found:
        start = _clock()
        found = call(photos)
        # Unreadable photos make other sizes, which say nothing. Lists take appends from several threads.
        self._seconds.get(len(photos), []).append(_clock() - start)
        self._calls.append(len(photos))
        return found


def best_size(seconds: dict[int, float]) -> int:
    """The size with the least time a photo; of those that are about as good, the smallest.

    >>> best_size({1: 0.010, 2: 0.0199, 4: 0.030})
    4
    >>> best_size({1: 0.010, 2: 0.0199, 4: 0.0398})
    1
    """
    best = next(iter(seconds))
    for size, found in seconds.items():
        if found / size < _BETTER * seconds[best] / best:
            best = size
    return best


class _Crowd:
    """Lets so many threads work at once as get the most done; the others wait at the door."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = self.limit = most
        self._clock, self._changed = clock, threading.Condition()
        self._inside, self._photos, self._start = 0, 0, -1.0
        self._rate: float | None = None  # of all threads
        self.settled = most < _FEW

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self.limit)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify()

    def told(self, photos: int) -> None:
        """So many more are done."""
        if self.settled:
            return
        with self._changed:
            now = self._clock()
            if self._start < 0:
                self._start = now
                return
            self._photos += photos
            if now - self._start >= _WINDOW:
                self._judge(self._photos / (now - self._start))
                self._photos, self._start = 0, -1.0

    def again(self) -> None:
        """What was counted since the last judgement tells nothing."""
        with self._changed:
            self._photos, self._start = 0, -1.0

    def _judge(self, rate: float) -> None:
        if self._rate is None:
            self._rate, self.limit = rate, self._most // 2
            return
        self.settled = True
        if rate < _FEWER * self._rate:
            self.limit = self._most
            self._changed.notify_all()


def _clock_of_work() -> Callable[[], float]:
    """Time of this thread alone, which others do not stretch; Windows counts it too coarsely."""
    fine = time.get_clock_info("thread_time").resolution < 1e-4
    return time.thread_time if fine else time.perf_counter


_clock = _clock_of_work()
