"""From photos to Predictions, one or many; what the pixels mean is left to `classifier`."""

from __future__ import annotations

import os
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
Shares = Callable[[Sequence[Pixels]], Rows]
Read = tuple[str, Pixels | str]  # a name, and pixels or the reason why there are none

NAMED = 3  # classes that a reason may name
NO_DOUBTS = Doubts()


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
    def _probabilities(self, photos: Sequence[Pixels]) -> Rows:
        """For N ≥ 1 results of `_pixels`: (N, C), rows sum to 1; and (N,) where likeness is known."""

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
        return self._predictions([self._read(photo)], self._at_once, top_k)[0]

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
        return self._predictions(list(zip(names, pixels, strict=True)), self._at_once, top_k)

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

        shares = self._probabilities_of_many()
        pace = make_pace(all(isinstance(photo, str | os.PathLike) for photo in first + second))

        def answer(chunk: Sequence[Photo]) -> list[Prediction]:
            return self._predictions(
                [self._read(photo) for photo in pace.each(chunk)], partial(pace.calls, shares), top_k
            )

        yield from ordered(chain(first, second, photos), answer, pace, idle)

    def _isolated(
        self, photos: Iterator[Photo], top_k: int, make_pace: Callable[[bool], Pace]
    ) -> Generator[Prediction, None, None]:
        from sortograph.classify.isolation import read_apart
        from sortograph.classify.stream import ordered

        shares = self._probabilities_of_many()
        pace = make_pace(False)

        def answer(chunk: Sequence[Read]) -> list[Prediction]:
            return self._predictions(chunk, partial(pace.calls, shares), top_k)

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

    def _at_once(self, photos: Sequence[Pixels]) -> Iterable[Rows]:
        return (self._probabilities(photos),)

    def _predictions(
        self, chunk: Sequence[Read], calls: Callable[[Sequence[Pixels]], Iterable[Rows]], top_k: int
    ) -> list[Prediction]:
        """One answer each. `calls` gives the shares of photos, in as many calls of the model as it likes."""
        readable = [found for _, found in chunk if not isinstance(found, str)]
        rows = chain.from_iterable(starmap(_rows, calls(readable) if readable else ()))
        return [
            failed(name, found) if isinstance(found, str) else self._prediction(name, *next(rows), top_k)
            for name, found in chunk
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
