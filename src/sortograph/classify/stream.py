"""Many photos: several threads that each read a batch and run the model on it, and answers in order.

A thread that has decoded a batch hands it to nobody: it runs the model on it by itself, on a session of one
thread. No core then waits for another, neither between decoding and the model nor within an operator. On two
cores this takes 15 to 16 core-milliseconds a photo for a MobileNetV2 at 224 pixels, of which decoding and one
thread of the model alone are 15; one session of two threads takes 18, and 21 where they wait by spinning.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from sortograph.classify.machine import cores

Item = TypeVar("Item")
Photos = TypeVar("Photos", bound=Sequence[object])
Found = TypeVar("Found")
Answer = TypeVar("Answer")

_AHEAD = 2  # batches for each thread, under way or waiting
_GLANCE = 0.005  # seconds between two looks at whether a source has more
_TRIES = 3  # calls that each size of a batch is measured by
_BETTER = 0.98  # of the time of a smaller batch, below which the larger one is taken
_LARGEST = 32
_BATCH_PIXELS = 1 << 18  # what is worked on must fit into caches, and into little memory
_WINDOW = 1.0  # seconds that a number of threads is tried for
_FEWER = 1.05  # how much faster fewer threads must be
_FEW = 4  # threads below which fewer are not tried


def batch_sizes(size: tuple[int, int]) -> tuple[int, ...]:
    """The sizes of batches to try for photos of `size` = (height, width), ascending.

    >>> batch_sizes((224, 224)), batch_sizes((64, 64)), batch_sizes((600, 600))
    ((1, 2, 4), (1, 2, 4, 8, 16, 32), (1,))
    """
    most = max(1, min(_LARGEST, _BATCH_PIXELS // (size[0] * size[1])))
    return tuple(1 << k for k in range(most.bit_length()))


def ordered(
    source: Iterator[Item],
    work: Callable[[list[Item]], Sequence[Answer]],
    pace: Pace,
    idle: Callable[[], bool] = lambda: False,
) -> Iterator[Answer]:
    """`work` on batches of the source, on the threads of `pace`; what it gives, in the order of the source.

    The source is asked in the caller's thread alone, as far ahead as keeps the threads busy; while it is
    `idle`, what it gave so far is answered first. What `work` raises is raised here, after all answers before
    it. Threads have ended when the iterator has.
    """
    waiting: deque[Future[Sequence[Answer]]] = deque()
    pool = ThreadPoolExecutor(pace.runners, "sortograph-predict")
    try:
        while batch := _batch(source, size := pace.size(), idle):
            if len(batch) < size:
                pace.cut_short(size)
            waiting.append(pool.submit(pace.guarded, work, batch))
            while len(waiting) > _AHEAD * pace.runners or _is_first(waiting, idle):
                yield from waiting[0].result()
                waiting.popleft()
        while waiting:
            yield from waiting[0].result()
            waiting.popleft()
    finally:  # also when nobody asks for the rest
        pool.shutdown(wait=False, cancel_futures=True)
        _settle(waiting)
        pool.shutdown()


def _is_first(waiting: Sequence[Future[Answer]], idle: Callable[[], bool]) -> bool:
    """Whether the oldest of what is under way is done before the source has more."""
    while waiting and idle():
        if wait([waiting[0]], timeout=_GLANCE).done:
            return True
    return False


def _batch(source: Iterator[Item], size: int, idle: Callable[[], bool]) -> list[Item]:
    """The next items; fewer at the end, or where the source pauses."""
    batch: list[Item] = []
    for item in islice(source, size):
        batch.append(item)
        if idle():
            break
    return batch


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
    """How many photos a call of the model gets, and how many calls run at once: measured on the job itself.

    sizes: of batches, ascending; the first calls get some of each, and all others what took the least time
        for a photo
    runners: threads at the most; None: one for each core. Of four or more, half of them are tried for a
        second, and kept where they get more done: cores that share a cache may.
    """

    def __init__(
        self, sizes: Sequence[int], runners: int | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.runners = runners or cores()
        self._sizes, self._clock = tuple(sizes), clock
        self._tries = (
            deque(size for size in self._sizes for _ in range(_TRIES)) if len(sizes) > 1 else deque()
        )
        self._seconds: dict[int, list[float]] = {size: [] for size in self._sizes}
        self._calls: list[int] = []  # sizes of those that were timed
        self._cut = 0  # calls with fewer photos than were asked for
        self._chosen: int | None = None if len(sizes) > 1 else self._sizes[0]
        self._crowd = _Crowd(self.runners, clock)

    def size(self) -> int:
        """Photos of the next batch."""
        if self._chosen is None and self._tries:
            return self._tries.popleft()
        if self._chosen is None and len(self._calls) >= _TRIES * len(self._sizes) + self._cut:
            known = {size: min(seconds) for size, seconds in self._seconds.items() if seconds}
            self._chosen = best_size(known) if known else self._sizes[-1]
        return self._chosen or self._sizes[-1]

    def cut_short(self, size: int) -> None:
        """The batch of that size did not become one, since the source ends or pauses: it tells no pace."""
        if self._chosen is None:
            self._tries.appendleft(size)
            self._cut += 1
        self._crowd.again()

    def guarded(self, work: Callable[[list[Item]], Found], batch: list[Item]) -> Found:
        """Work on a batch, as soon as no more threads are at it than are good."""
        with self._crowd:
            found = work(batch)
        if self._chosen is not None:
            self._crowd.told(len(batch))
        return found

    def timed(self, call: Callable[[Photos], Found]) -> Callable[[Photos], Found]:
        """The call of the model, with a look at the clock where that is still of interest."""
        return call if self._chosen is not None else lambda photos: self._timed(call, photos)

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
        self._settled = most < _FEW

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
        if self._settled:
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
        self._settled = True
        if rate < _FEWER * self._rate:
            self.limit = self._most
            self._changed.notify_all()


def _clock_of_work() -> Callable[[], float]:
    """Time of this thread alone, which others do not stretch; Windows counts it too coarsely."""
    fine = time.get_clock_info("thread_time").resolution < 1e-4
    return time.thread_time if fine else time.perf_counter


_clock = _clock_of_work()
