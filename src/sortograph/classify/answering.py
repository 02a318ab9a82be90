"""From photos to Predictions, one or many; what the pixels mean is left to `classifier`."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice, starmap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle.doubts import Doubts
from sortograph.errors import PhotoError, UsageError
from sortograph.images.sources import Photo, name_of
from sortograph.records.predictions import Prediction

if TYPE_CHECKING:
    from sortograph.classify.stream import Pace
    from sortograph.records import PreprocessSpec

Pixels = NDArray[np.uint8]
Likeness = NDArray[np.floating] | None
Rows = tuple[NDArray[np.floating], Likeness]  # (N, C), and (N,) where likeness is known
Shares = Callable[[Pixels], Rows]  # for photos uint8 (N, H, W, 3), N ≥ 1
Read = tuple[str, Pixels | str]  # a name, and pixels or the reason why there are none
Named = tuple[str, str]  # a name, and the reason why there are no pixels or ""

NAMED = 3  # classes that a reason may name
NO_DOUBTS = Doubts()
_NO_PIXELS: Pixels = np.empty(0, dtype=np.uint8)


class Answering(ABC):
    """The methods that a classifier has, on top of five that its kind must give."""

    __slots__ = ()
    classes: tuple[str, ...]

    @abstractmethod
    def _spec(self) -> PreprocessSpec:
        """What becomes of a photo before the model sees it."""

    @abstractmethod
    def _pixels(self, photo: Photo) -> Pixels:
        """What the model sees, uint8 (H, W, 3). Raises PhotoError when unreadable."""

    @abstractmethod
    def _probabilities(self, photos: Pixels) -> Rows:
        """For N ≥ 1 results of `_pixels`, (N, H, W, 3): (N, C), rows sum to 1; and (N,) where likeness is
        known."""

    def _probabilities_of_many(self) -> Shares:
        """As `_probabilities`, for calls from several threads at once."""
        return self._probabilities

    def _threads(self) -> int | None:
        """How many may compute at once; None: one for each core."""
        return None

    def _shallow(self) -> bool:
        """Whether large calls serve the model."""
        return False

    def _doubts(self) -> Doubts:
        """When an answer is unsure, and when it is withheld."""
        return NO_DOUBTS

    def predict(self, photo: Photo, *, top_k: int = 5) -> Prediction:
        """The answer for one photo.

        photo: a path, the bytes of a file, a Pillow image, or RGB as uint8 (H, W, 3); ARCHIVE.zip/a.jpg
            names a photo in an archive
        top_k: how many classes to name, at most all of them

        What cannot be read gives a Prediction with `error` and without a label. Raises UsageError for
        a `top_k` below 1, BundleError when the model fails.
        """
        check_count(top_k, "top_k")
        name, found = self._read(photo)
        if isinstance(found, str):
            return failed(name, found)
        return self._predictions([(name, "")], [self._probabilities(found[None])], top_k)[0]

    def predict_many(
        self,
        photos: Iterable[Photo],
        *,
        top_k: int = 5,
        batch_size: int | None = None,
        threads: int | None = None,
        isolate: bool = False,
        idle: Callable[[], bool] | None = None,
    ) -> Generator[Prediction, None, None]:
        """The answers for many photos, in their order, while they are read.

        batch_size: photos of one call of the model; None: measured on the first of them
        threads: how many photos are read and answered at once; None: what `load` was told
        isolate: read files in processes of their own, each within limits of time and memory: for photos that
            may be hostile
        idle: says whether `photos` pauses; the answers to those before are then given first. Not asked where
            `isolate` is set

        Photos are taken from `photos` ahead of the answers: paths by up to about 100 for each thread, others
        by a few calls of the model, so that the memory stays the same however many there are. Each photo and
        error is as in `predict`; UsageError also for one path or bytes in the place of many, and for what is
        no file where `isolate` is set.
        """
        check_count(top_k, "top_k")
        for value, name in ((batch_size, "batch_size"), (threads, "threads")):
            check_count(1 if value is None else value, name)
        if isinstance(photos, str | bytes | os.PathLike):  # its letters would be taken for paths
            raise UsageError("one photo where many are expected", fix="predict(photo)")
        pace = partial(self._pace, batch_size, threads or self._threads())
        if isolate:
            return self._isolated(iter(photos), top_k, pace)
        return self._stream(iter(photos), top_k, pace, idle or _never)

    def answers_for(self, pixels: Sequence[Pixels], names: Sequence[str], top_k: int) -> list[Prediction]:
        """The answers for pixels of the model's size, each uint8 (H, W, 3), in one call of the model.

        Raises BundleError when the model fails.
        """
        named = [(name, "") for name in names]
        return self._predictions(named, [self._probabilities(np.stack(pixels))], top_k)

    def _stream(
        self, photos: Iterator[Photo], top_k: int, make_pace: Callable[[bool], Pace], idle: Callable[[], bool]
    ) -> Generator[Prediction, None, None]:
        first = list(islice(photos, 1))
        paused = idle()
        second = [] if paused else list(islice(photos, 1))
        if not (paused or second):
            for photo in first:
                yield self.predict(photo, top_k=top_k)
            return
        from sortograph.classify.stream import ordered  # not for one photo: its imports take longer

        shares, room = self._probabilities_of_many(), _Room(self._spec().size)
        pace = make_pace(all(isinstance(photo, str | os.PathLike) for photo in first + second))

        def answer(chunk: Sequence[Photo]) -> list[Prediction]:
            named, count, pixels = list[Named](), 0, room.of(len(chunk))
            for photo in pace.each(chunk):
                name, found = self._read(photo)
                if isinstance(found, str):
                    named.append((name, found))
                else:
                    named.append((name, ""))
                    pixels[count] = found
                    count += 1
            return self._predictions(named, pace.calls(shares, pixels[:count]), top_k)

        yield from ordered(chain(first, second, photos), answer, pace, idle)

    def _isolated(
        self, photos: Iterator[Photo], top_k: int, make_pace: Callable[[bool], Pace]
    ) -> Generator[Prediction, None, None]:
        from sortograph.classify.isolation import read_apart
        from sortograph.classify.stream import ordered

        shares = self._probabilities_of_many()
        pace = make_pace(False)

        def answer(chunk: Sequence[Read]) -> list[Prediction]:
            named = [(name, found if isinstance(found, str) else "") for name, found in chunk]
            readable = [found for _, found in chunk if not isinstance(found, str)]
            pixels = np.stack(readable) if readable else _NO_PIXELS
            return self._predictions(named, pace.calls(shares, pixels), top_k)

        yield from ordered(read_apart(photos, self._spec(), pace.runners), answer, pace)

    def _pace(self, batch_size: int | None, threads: int | None, are_small: bool) -> Pace:
        """are_small: what waits to be read takes next to no memory"""
        from sortograph.classify.stream import Pace, batch_sizes, largest_chunk

        size = self._spec().size
        sizes = batch_sizes(size, shallow=self._shallow()) if batch_size is None else (batch_size,)
        return Pace(sizes, threads, most=largest_chunk(size) if are_small else 1)

    def _read(self, photo: Photo) -> Read:
        name = name_of(photo)
        try:
            return name, self._pixels(photo)
        except PhotoError as error:
            return name, error.what

    def _predictions(self, named: Sequence[Named], rows: Iterable[Rows], top_k: int) -> list[Prediction]:
        """One answer each; `rows` are those of the photos that have pixels, call by call."""
        each = chain.from_iterable(starmap(_rows, rows))
        return [
            failed(name, reason) if reason else self._prediction(name, *next(each), top_k)
            for name, reason in named
        ]

    def _prediction(
        self, name: str, row: NDArray[np.floating], likeness: float | None, top_k: int
    ) -> Prediction:
        if not np.isfinite(row).all():
            return failed(name, "the model has no number for this photo")
        doubts = self._doubts()
        ranked = np.argsort(-row, kind="stable")[: max(top_k, NAMED)]
        top = tuple((self.classes[k], float(row[k])) for k in ranked)
        withheld, unsure = doubts.of(top, doubts.set_size(row), likeness)
        label = None if withheld else top[0][0]
        return Prediction(path=name, label=label, probability=top[0][1], top_k=top[:top_k], unsure=unsure)


class _Room(threading.local):
    """Where a thread puts the pixels of a chunk. It is kept for the next chunk: memory that is given back and
    taken again has to be cleared by the system each time, a thirtieth of what a small model costs."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._pixels: Pixels = np.empty((0, *size, 3), dtype=np.uint8)

    def of(self, count: int) -> Pixels:
        """For so many photos."""
        if len(self._pixels) < count:
            self._pixels = np.empty((count, *self._pixels.shape[1:]), dtype=np.uint8)
        return self._pixels[:count]


def failed(name: str, reason: str) -> Prediction:
    return Prediction(path=name, label=None, probability=None, error=reason)


def check_count(value: int, name: str) -> None:
    """Raises UsageError for numbers below 1."""
    if value < 1:
        raise UsageError(f"{name} is {value}", expected="a whole number of at least 1")


def _never() -> bool:
    return False


def _rows(
    shares: NDArray[np.floating], likeness: Likeness
) -> Iterator[tuple[NDArray[np.floating], float | None]]:
    return zip(shares, [None] * len(shares) if likeness is None else likeness.tolist(), strict=True)
