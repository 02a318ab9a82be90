"""What a budget leaves for what, and the diary of what was decided by it."""

from __future__ import annotations

import time

from sortograph.api.job import Job
from sortograph.records import Progress, Said

# Seconds, and share of the budget: for judging, checking and the report; for the audit and the heads.
_FINISH, _HEADS = (8.5, 0.12), (3.0, 0.08)
_READING = 0.5  # of the time for embedding: photos in the order of their names


class Diary:
    """Decisions, told at once and kept for the report."""

    def __init__(self, progress: Progress) -> None:
        self.lines: list[str] = []
        self._progress = progress

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._progress(Said(line))


class Budget:
    """When what has to end, by readings of time.monotonic; made when the run begins.

    deadline: None for no end of anything
    """

    def __init__(self, deadline: float | None) -> None:
        self._deadline, self._seconds = deadline, 0.0
        if deadline is not None:
            self._seconds = deadline - time.monotonic()

    @property
    def embedding(self) -> float | None:
        """The end of embedding."""
        if self._deadline is None:
            return None
        return self._deadline - _part(_FINISH, self._seconds) - _part(_HEADS, self._seconds)

    @property
    def reading(self) -> float | None:
        """The end of embedding while photos are read, one class after the other: the other half of the time
        is for photos that are chosen once all are known."""
        end, now = self.embedding, time.monotonic()
        return None if end is None else now + _READING * max(0.0, end - now)


ENDLESS = Budget(None)


def reserve(job: Job) -> float:
    """Seconds that judging, checking and the report need."""
    return _part(_FINISH, (job.deadline or job.began) - job.began)


def left(job: Job) -> float:
    """Seconds until judging has to begin; infinite without a deadline."""
    return job.left - reserve(job)


def _part(plan: tuple[float, float], budget: float) -> float:
    seconds, share = plan
    return max(seconds, share * budget)
