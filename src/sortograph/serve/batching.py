"""Photos of many requests, answered together where that is faster, by threads beside the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sortograph.records import Prediction
from sortograph.serve.problems import MODEL, Refusal

Pixels = NDArray[np.uint8]
Answer = Callable[[Sequence[Pixels], bool], list[Prediction]]

WAIT = 0.002  # seconds that a photo may wait for others that are on their way
PATIENCE = 20.0  # seconds that one run of a model may take
_NEW = 0.2  # share of the last batch in the mean pace
_log = logging.getLogger("sortograph.serve")


class Desk:
    """Takes photos one by one; threads answer them in batches. To be asked from one event loop.

    answer: pixels (N ≥ 1), and whether they are alone, to N predictions; called in threads
    lanes: threads, so batches that are answered at the same time
    most: photos of one batch
    patience: seconds that a batch may take

    After a batch that failed or took too long the desk is `broken`: it refuses whatever it is asked, and is
    to be replaced by another.
    """

    def __init__(self, answer: Answer, lanes: int, most: int, patience: float = PATIENCE) -> None:
        self._answer, self.lanes, self.most, self.patience = answer, lanes, most, patience
        self._changed = threading.Condition()
        self._queue: deque[_Asked] = deque()
        self._started: dict[int, tuple[float, list[_Asked]]] = {}  # thread → when it began, with what
        self._coming = 0
        self._closed = False
        self.broken = False
        self.pace = 0.02  # seconds that a photo takes a lane, lately
        self.told: Callable[[int], None] = lambda _: None  # called with the size of every batch
        self.failed: Callable[[], None] = lambda: None  # called once, when it breaks
        for _ in range(lanes):
            self._start_thread()

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While a photo is on its way here: others may wait a moment for it."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def ask(self, pixels: Pixels) -> Prediction:
        """The answer for one photo, every class named. Raises Refusal when the model fails."""
        loop = asyncio.get_running_loop()
        asked = _Asked(pixels, loop.create_future(), loop)
        with self._changed:
            if self.broken:
                raise _failed()
            self._queue.append(asked)
            self._changed.notify()
        return await asked.future

    def check(self) -> None:
        """Breaks where a batch has taken too long; its thread is given up."""
        ends = time.monotonic() - self.patience
        with self._changed:
            late = [batch for began, batch in self._started.values() if began < ends]
        if late:
            self._break()
        for batch in late:
            _hand_over(batch, None)

    def close(self) -> None:
        """Ends the threads once they have answered what they were asked."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _start_thread(self) -> None:
        # Unlike those of a ThreadPoolExecutor it is not waited for when the program ends: it may hang.
        threading.Thread(target=self._live, name="sortograph-answer", daemon=True).start()

    def _live(self) -> None:
        me = threading.get_ident()
        while batch := self._take(me):
            began = time.perf_counter()
            found = self._answered(batch)
            with self._changed:
                del self._started[me]
            self.pace += _NEW * ((time.perf_counter() - began) / len(batch) - self.pace)
            self.told(len(batch))
            _hand_over(batch, found)

    def _answered(self, batch: list[_Asked]) -> list[Prediction] | None:
        with self._changed:
            alone = len(batch) == len(self._started) == 1 and not (self._queue or self._coming)
        try:
            return self._answer([asked.pixels for asked in batch], alone)
        except BaseException:  # also what ends threads: the lane would be lost without a word
            _log.exception("a model failed")
            self._break()
            return None

    def _take(self, me: int) -> list[_Asked]:
        """The next batch; empty when there will be no more."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._coming and 0 < len(self._queue) < self.most:
                    self._changed.wait(WAIT)  # for company
                batch = self._share()
                if batch:
                    self._started[me] = (time.monotonic(), batch)
                if batch or (self._closed and not self._queue):
                    return batch

    def _share(self) -> list[_Asked]:
        """What one lane takes: every free one gets some. Without those who no longer wait."""
        share = -(-len(self._queue) // (self.lanes - len(self._started)))
        batch = [self._queue.popleft() for _ in range(min(self.most, share))]
        return [asked for asked in batch if not asked.future.done()]

    def _break(self) -> None:
        with self._changed:
            is_news = not self.broken
            self.broken = self._closed = True
            left = [*self._queue]
            self._queue.clear()
            self._changed.notify_all()
        if is_news:
            self.failed()
        _hand_over(left, None)


@dataclass(slots=True)
class _Asked:
    pixels: Pixels
    future: asyncio.Future[Prediction]
    loop: asyncio.AbstractEventLoop


def _hand_over(batch: list[_Asked], found: list[Prediction] | None) -> None:
    """To the event loop, whose futures no other thread may touch."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        if batch:
            batch[0].loop.call_soon_threadsafe(_settle, batch, found)


def _settle(batch: list[_Asked], found: list[Prediction] | None) -> None:
    predictions: Sequence[Prediction | None] = [None] * len(batch) if found is None else found
    for asked, prediction in zip(batch, predictions, strict=True):
        if asked.future.done():
            continue
        if prediction is None:
            asked.future.set_exception(_failed())
        else:
            asked.future.set_result(prediction)


def _failed() -> Refusal:
    return Refusal(
        MODEL, "the model failed", expected="it is opened again by itself", fix="try again in a few seconds"
    )
