"""Work beside the thread that hands it over."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

_TICK = 0.1  # seconds; waits without an end could not be interrupted on Windows


class Threads:
    """Runs work on up to `count` threads; hands over at most `ahead` pieces of it that nobody has begun.

    Threads start with work and end without it: there is nothing to close. What fails in one of them is raised
    in the thread that hands over or waits, and the pieces that nobody has begun are dropped.
    """

    def __init__(self, count: int, ahead: int) -> None:
        self._count, self._ahead = count, ahead
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0
        self._failure: BaseException | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Hands over one piece, as soon as there is room for it. Raises what has failed."""
        with self._changed:
            while len(self._waiting) >= self._ahead and self._failure is None:
                self._changed.wait(_TICK)
            self._raise()
            self._waiting.append(work)
            if self._running < self._count:
                self._running += 1
                # Not as a daemon: ONNX Runtime is not to be cut off while the interpreter ends.
                threading.Thread(target=self._work, name="sortograph-embed").start()

    def wait(self, tell: Callable[[], None]) -> None:
        """Until all is done; `tell` is called now and then. Raises what has failed."""
        with self._changed:
            while self._running and self._failure is None:
                self._changed.wait(_TICK)
                tell()
            self._raise()

    def drop(self) -> None:
        """Forgets what nobody has begun."""
        with self._changed:
            self._waiting.clear()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _work(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except BaseException as error:
                with self._changed:
                    self._failure = self._failure or error
                    self._waiting.clear()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            work = self._waiting.popleft() if self._waiting else None
            self._running -= work is None
            self._changed.notify_all()
            return work
