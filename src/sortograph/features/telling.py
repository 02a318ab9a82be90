"""How far the embedding is, and how long it will take."""

from __future__ import annotations

import time

from sortograph.records import Progress, Step

_PAUSE = 0.1


class Told:
    """Tells how many of `total` photos are embedded, now and then and at the end; of none, nothing.

    brought: how many were read so far, of which some may wait to be embedded
    """

    def __init__(self, total: int, progress: Progress, brought: int = 0) -> None:
        self.total, self._brought, self._progress = total, brought, progress
        self._began = self._last = time.monotonic()
        self._done = 0

    def one_more(self, waiting: int) -> None:
        """One more photo was read; so many wait."""
        self._brought += 1
        self.waiting(waiting)

    def waiting(self, count: int) -> None:
        """Of all that were read so many wait. The seconds that are left are those at the pace so far."""
        now, done = time.monotonic(), self._brought - count
        if done <= self._done or (done < self.total and now - self._last < _PAUSE):
            return
        self._done, self._last = done, now
        left = (now - self._began) / done * (self.total - done)
        self._progress(Step("embedding photos", done, self.total, seconds_left=left))
