"""What the routes ask: photos in, answers out, within limits. Knows no HTTP but its refusals."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sortograph.records import Prediction
from sortograph.serve.bodies import Client, Held, Part
from sortograph.serve.corrections import Corrections
from sortograph.serve.decoding import Decoders
from sortograph.serve.limits import Limits
from sortograph.serve.metrics import Metrics
from sortograph.serve.models import Model, Shelf
from sortograph.serve.presence import Presence
from sortograph.serve.problems import BUSY, CORRECTIONS_OFF, DRAINING, LATE, PHOTO, Kind, Refusal
from sortograph.serve.reasons import NO_NUMBER, Doubt, doubt_of

_LONGEST = 30  # seconds that a client is told to wait
_HEATMAPS = 4  # that may wait for the one that is being made


@dataclass(frozen=True, slots=True)
class Answered:
    """What one photo gets. decode and answer: seconds of reading, and of the model with the wait for it."""

    prediction: Prediction
    error_code: str | None
    doubt: Doubt | None = None
    heatmap: str | None = None
    decode: float = 0.0
    answer: float = 0.0

    def to_json(self, top_k: int) -> dict[str, Any]:
        shown = replace(self.prediction, top_k=self.prediction.top_k[:top_k]).to_json()
        return {
            **shown,
            "unsure_code": None if self.doubt is None else self.doubt.code,
            "unsure_details": None if self.doubt is None else self.doubt.details,
            "error_code": self.error_code,
            "heatmap": self.heatmap,
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks of a model. heat: also a heatmap, of its only photo."""

    photos: Sequence[Part]
    top_k: int
    heat: bool


class Service:
    """
    shelf, decoders, corrections (None where they are off): the parts that do the work
    draining: set once the server is to stop: what was accepted is finished, nothing more is
    """

    def __init__(
        self, shelf: Shelf, decoders: Decoders, limits: Limits, corrections: Corrections | None = None
    ) -> None:
        self.shelf, self.decoders, self.limits, self.corrections = shelf, decoders, limits, corrections
        self.metrics, self.held = Metrics(), Held(limits.held)
        self.started = self.draining = False
        self.at_work = 0  # requests
        self._waiting = 0  # photos
        self._heating = asyncio.Semaphore(1)
        self._heatmaps = 0
        self._count()

    def _count(self) -> None:
        self.metrics.waiting.set_function(lambda: self._waiting)
        self.metrics.held.set_function(lambda: self.held.now)
        self.shelf.told = lambda name, well: self.metrics.reloads.labels(name, _went(well)).inc()
        self.shelf.opened = self._count_runs
        for model in self.shelf.all():
            self._count_runs(model)

    def _count_runs(self, model: Model) -> None:
        model.desk.told = self.metrics.batches.labels(model.name).observe
        model.desk.failed = self.metrics.failures.labels(model.name).inc

    @property
    def state(self) -> str:
        """ready, or why no more should be sent here."""
        if self.draining:
            return "draining"
        if not self.started:
            return "starting"
        return "failing" if any(model.desk.broken for model in self.shelf.all()) else "ready"

    @contextmanager
    def accepted(self) -> Iterator[None]:
        """One request, before its body is read. Raises Refusal while draining, or when too many wait."""
        if self.draining:
            raise Refusal(DRAINING, "the server is stopping", fix="try again in a few seconds")
        self._check_room(1, self.shelf.get(None))
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1

    async def predict(self, model: Model, asked: Asked, presence: Presence) -> list[Answered]:
        """Answers for photos, in their order.

        Raises Refusal when there is no room, when none of them can be read, when the model fails, or when it
        takes too long; Client when there is nobody left to answer: what waits then is given up.
        """
        with self._room(len(asked.photos), model):
            try:
                async with asyncio.timeout(self.limits.seconds) as patience:
                    with presence.ending(patience):
                        answered = await self._predict(model, asked)
            except TimeoutError:
                if not presence.gone:
                    raise _late() from None
            if presence.gone:
                self.metrics.photos.labels(model.name, "gone").inc(len(asked.photos))
                raise Client
        for found in answered:
            self.metrics.photos.labels(model.name, _outcome(found.prediction)).inc()
        if all(found.error_code is not None for found in answered):
            raise _unreadable(answered, asked.top_k)
        return answered

    async def correct(self, model: Model, photo: bytes, label: str, told: tuple[str, str]) -> dict[str, Any]:
        """Stores a photo with its right label; `told`: what was predicted, and the hash of who did.

        Raises Refusal for what cannot be read, StorageError.
        """
        if self.corrections is None:
            raise corrections_off()
        with self._room(1, model):
            reading = await self.decoders.read(photo, model.manifest.preprocess)
        if reading.reason:
            raise Refusal(PHOTO, reading.reason, expected="a photo", more={"reason": reading.code})
        stored = await asyncio.to_thread(self.corrections.add, photo, label, *told)
        self.metrics.corrections.inc()
        return stored.to_json()

    async def _predict(self, model: Model, asked: Asked) -> list[Answered]:
        if len(asked.photos) == 1:  # without a task of its own
            return [await self._answer(model, asked.photos[0], asked.heat)]
        return await asyncio.gather(*(self._answer(model, photo, False) for photo in asked.photos))

    async def _answer(self, model: Model, photo: Part, heat: bool) -> Answered:
        began = time.perf_counter()
        with model.desk.expecting():
            reading = await self.decoders.read(photo.data, model.manifest.preprocess)
        decode = time.perf_counter() - began
        if reading.reason:
            failed = Prediction(photo.filename, None, None, error=reading.reason)
            return Answered(failed, reading.code, decode=decode)
        found = replace(await model.desk.ask(reading.pixels[0]), path=photo.filename)
        if found.error is not None:
            return Answered(found, NO_NUMBER, decode=decode)
        heatmap = await self._heat(model, reading.pixels[0], found) if heat else None
        answer = time.perf_counter() - began - decode
        return Answered(found, None, doubt_of(found, model), heatmap, decode, answer)

    async def _heat(self, model: Model, pixels: Any, found: Prediction) -> str:
        if self._heatmaps > _HEATMAPS:
            raise Refusal(Kind(BUSY.status, BUSY.code, 5), "too many heatmaps at once", fix="try again soon")
        self._heatmaps += 1
        try:
            async with self._heating:
                return await self._made(model, pixels, found)
        finally:
            self._heatmaps -= 1

    async def _made(self, model: Model, pixels: Any, found: Prediction) -> str:
        """A heatmap. Its thread has ended before this does: whoever gives up may not start a second one."""
        from sortograph.serve.heat import Late, heatmap

        bundle, label = model.crowd.bundle, model.manifest.classes.index(found.top_k[0][0])
        wanted = [True]
        making = asyncio.ensure_future(
            asyncio.to_thread(
                heatmap,
                pixels,
                lambda photos: bundle.run(photos).logits,
                label,
                self.limits.seconds,
                lambda: wanted[0],
            )
        )
        try:
            return await asyncio.shield(making)
        except Late as late:
            raise Refusal(LATE, late.what, fix="ask for it without one") from None
        except asyncio.CancelledError:
            wanted[0] = False
            await asyncio.wait([making])
            making.exception()  # looked at: it is no news that it was given up
            raise

    @contextmanager
    def _room(self, count: int, model: Model) -> Iterator[None]:
        self._check_room(count, model)
        self._waiting += count
        try:
            yield
        finally:
            self._waiting -= count

    def _check_room(self, count: int, model: Model) -> None:
        if self._waiting and self._waiting + count > self.limits.queue:
            wait = self._waiting * model.desk.pace / model.desk.lanes
            raise Refusal(
                Kind(BUSY.status, BUSY.code, min(_LONGEST, max(1, math.ceil(wait)))),
                "too many photos wait for an answer",
                fix="try again after the time in Retry-After",
            )


def corrections_off() -> Refusal:
    return Refusal(
        CORRECTIONS_OFF, "this server takes no corrections", fix="sortograph serve MODEL --corrections DIR"
    )


def _late() -> Refusal:
    return Refusal(LATE, "the answer took too long", fix="send fewer photos at once")


def _unreadable(answered: Sequence[Answered], top_k: int) -> Refusal:
    """`reason` is the code that all of them share, else null."""
    first, codes = answered[0], {found.error_code for found in answered}
    what = f"none of {len(answered)} photos could be read"
    if len(answered) == 1:
        what = first.prediction.error or ""
    more = {
        "reason": first.error_code if len(codes) == 1 else None,
        "predictions": [found.to_json(top_k) for found in answered],
    }
    return Refusal(PHOTO, what, expected="a photo", more=more)


def _went(well: bool) -> str:
    return "done" if well else "failed"


def _outcome(found: Prediction) -> str:
    if found.error is not None:
        return "unreadable"
    return "withheld" if found.label is None else "answered"
