"""One line on stderr that says how far a stream is, for a person who watches; nothing for anyone else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from sortograph.cli import tables

_FIRST, _EVERY = 1.0, 0.25  # seconds until it is drawn, and until it is drawn again


class Meter:
    """Counts photos that are answered.

    count: tells how many there will be, or None where nobody knows; called in a thread of its own
    before: photos that were answered by another run
    """

    def __init__(self, count: Callable[[], int | None], before: int = 0) -> None:
        self._start = time.monotonic()
        self._next, self._done, self._before = self._start + _FIRST, before, before
        self._width = 0
        self._total: int | None = None
        threading.Thread(target=self._look_ahead, args=(count,), daemon=True).start()

    def _look_ahead(self, count: Callable[[], int | None]) -> None:
        self._total = count()

    def step(self) -> None:
        """One more."""
        self._done += 1
        if (now := time.monotonic()) >= self._next:
            self._next = now + _EVERY
            self._draw(line(self._done, self._total, (self._done - self._before) / (now - self._start)))

    def clear(self) -> None:
        """Nothing is left of it, until the next step: others may write."""
        if self._width:
            self._draw("")

    def _draw(self, text: str) -> None:
        # Without escape codes, which not every console of Windows knows.
        sys.stderr.write(f"\r{text.ljust(self._width)}\r")
        sys.stderr.flush()
        self._width = len(text)


def line(done: int, total: int | None, rate: float) -> str:
    """
    >>> line(1234, 2000, 153.2), line(1234, None, 7.31)
    ('1,234 of 2,000 photos, 153 a second, 0:05 left', '1,234 photos, 7.3 a second')
    """
    pace = f"{rate:.0f}" if rate >= 9.95 else f"{rate:.1f}"
    if total is None or total < done or rate <= 0:
        return f"{done:,} photos, {pace} a second"
    return f"{done:,} of {total:,} photos, {pace} a second, {tables.clock((total - done) / rate)} left"
