"""Photos → Predictions. Imports no more than what one photo needs.

Typical use:

    classifier = load("runs/cnn-20260101-120000")
    for prediction in classifier.predict_many(find_photos(["holiday/"])):
        print(prediction.path, prediction.label)
"""

from __future__ import annotations

import hashlib
import os
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle.doubts import Doubts, doubts
from sortograph.bundle.runtime import Bundle, open_bundle
from sortograph.errors import DataError, PhotoError, UsageError, counted
from sortograph.images.sources import Photo, name_of, to_pixels
from sortograph.images.walk import photos_below
from sortograph.records import BundleManifest, Prediction, PreprocessSpec

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sortograph.records import Progress

Pixels = NDArray[np.uint8]
Likeness = NDArray[np.floating] | None

_NAMED = 3  # classes that a reason may name
_NO_DOUBTS = Doubts()
_FAKE_SPEC = PreprocessSpec(size=(64, 64))
_MOST_DECODERS = 8
_BATCHES_AHEAD = 2
_STDIN = "-"


class _Answers(ABC):
    """From photos to Predictions; what the pixels mean is left to the classes below."""

    __slots__ = ()
    classes: tuple[str, ...]

    @abstractmethod
    def _pixels(self, photo: Photo) -> Pixels:
        """What the model sees, uint8 (H, W, 3). Raises PhotoError when unreadable."""

    @abstractmethod
    def _probabilities(self, photos: Sequence[Pixels]) -> tuple[NDArray[np.floating], Likeness]:
        """For N ≥ 1 results of `_pixels`: (N, C), rows sum to 1; and (N,) where likeness is known."""

    def _doubts(self) -> Doubts:
        """When an answer is unsure, and when it is withheld."""
        return _NO_DOUBTS

    def predict(self, photo: Photo, *, top_k: int = 5) -> Prediction:
        """The answer for one photo.

        photo: a path, the bytes of a file, a Pillow image, or RGB as uint8 (H, W, 3)
        top_k: how many classes to name, at most all of them

        What cannot be read gives a Prediction with `error` and without a label. Raises UsageError for
        a `top_k` below 1, BundleError when the model fails.
        """
        _check_count(top_k, "top_k")
        return self._predictions([(name_of(photo), _attempt(self._pixels, photo))], top_k)[0]

    def predict_many(
        self, photos: Iterable[Photo], *, top_k: int = 5, batch_size: int = 8
    ) -> Iterator[Prediction]:
        """The answers for many photos, in their order, while they are read.

        Photos are taken from `photos` and decoded in threads a few batches ahead of the model, so that
        the memory stays the same however many there are. Each photo and error is as in `predict`;
        UsageError also for one path or bytes in the place of many.
        """
        _check_count(top_k, "top_k")
        _check_count(batch_size, "batch_size")
        if isinstance(photos, str | bytes | os.PathLike):  # its letters would be taken for paths
            raise UsageError("one photo where many are expected", fix="predict(photo)")
        return self._stream(iter(photos), top_k, batch_size)

    def _stream(self, photos: Iterator[Photo], top_k: int, batch_size: int) -> Iterator[Prediction]:
        first = list(islice(photos, 2))
        if len(first) < 2:
            for photo in first:
                yield self.predict(photo, top_k=top_k)
            return
        from concurrent.futures import ThreadPoolExecutor  # not for one photo: its import takes longer

        everything = chain(first, photos)
        waiting: deque[list[tuple[str, Future[Pixels | str]]]] = deque()
        pool = ThreadPoolExecutor(min(_MOST_DECODERS, os.cpu_count() or 1), "sortograph-decode")
        try:
            while batch := list(islice(everything, batch_size)):
                started = [(name_of(photo), pool.submit(_attempt, self._pixels, photo)) for photo in batch]
                waiting.append(started)
                if len(waiting) > _BATCHES_AHEAD:
                    yield from self._finished(waiting.popleft(), top_k)
            while waiting:
                yield from self._finished(waiting.popleft(), top_k)
        finally:  # also when nobody asks for the rest
            pool.shutdown(cancel_futures=True)

    def _finished(self, batch: list[tuple[str, Future[Pixels | str]]], top_k: int) -> list[Prediction]:
        return self._predictions([(name, future.result()) for name, future in batch], top_k)

    def _predictions(self, batch: list[tuple[str, Pixels | str]], top_k: int) -> list[Prediction]:
        """One answer each; text stands for the reason why a photo has no pixels."""
        readable = [found for _, found in batch if not isinstance(found, str)]
        rows = self._answers(readable) if readable else iter(())
        return [
            _failed(name, found) if isinstance(found, str) else self._prediction(name, *next(rows), top_k)
            for name, found in batch
        ]

    def _answers(self, photos: Sequence[Pixels]) -> Iterator[tuple[NDArray[np.floating], float | None]]:
        shares, likeness = self._probabilities(photos)
        return zip(shares, [None] * len(shares) if likeness is None else likeness.tolist(), strict=True)

    def _prediction(
        self, name: str, row: NDArray[np.floating], likeness: float | None, top_k: int
    ) -> Prediction:
        if not np.isfinite(row).all():
            return _failed(name, "the model has no number for this photo")
        doubts = self._doubts()
        ranked = np.argsort(-row, kind="stable")[: max(top_k, _NAMED)]
        top = tuple((self.classes[k], float(row[k])) for k in ranked)
        withheld, unsure = doubts.of(top, doubts.set_size(row), likeness)
        label = None if withheld else top[0][0]
        return Prediction(path=name, label=label, probability=top[0][1], top_k=top[:top_k], unsure=unsure)


class Classifier(_Answers):
    """A trained model, ready for photos. Made by `load`; may be used by several threads at once."""

    __slots__ = ("_found_doubts", "bundle", "classes")

    def __init__(self, bundle: Bundle, max_error: float | None = None) -> None:
        self.bundle = bundle
        self.classes = bundle.manifest.classes
        self._found_doubts = doubts(bundle.manifest, max_error, str(bundle.path))

    def _doubts(self) -> Doubts:
        return self._found_doubts

    @property
    def manifest(self) -> BundleManifest:
        return self.bundle.manifest

    def _pixels(self, photo: Photo) -> Pixels:
        return to_pixels(photo, self.manifest.preprocess)

    def _probabilities(self, photos: Sequence[Pixels]) -> tuple[NDArray[np.floating], Likeness]:
        answers = self.bundle.run(np.stack(photos))
        return answers.probabilities, answers.likeness


class FakeClassifier(_Answers):
    """Stands in for a Classifier in tests: same methods, no model, answers made of the photo's pixels.

    The same picture always gets the same answer, on every machine. Raises UsageError without classes.

    >>> fake = FakeClassifier(["cat", "dog"])
    >>> fake.predict(np.zeros((4, 4, 3), np.uint8)).label
    'dog'
    >>> fake.predict(b"no photo").error
    'not a photo that can be read (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF)'
    """

    __slots__ = ("classes",)

    def __init__(self, classes: Iterable[str]) -> None:
        self.classes = tuple(classes)
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise UsageError("a classifier needs classes, each with a name of its own")

    def _pixels(self, photo: Photo) -> Pixels:
        return to_pixels(photo, _FAKE_SPEC)

    def _probabilities(self, photos: Sequence[Pixels]) -> tuple[NDArray[np.floating], Likeness]:
        weights = np.array([[self._weight(pixels, name) for name in self.classes] for pixels in photos])
        shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return shares, None

    def _weight(self, pixels: Pixels, name: str) -> float:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape") + pixels.tobytes()).digest()
        return 1.0 + int.from_bytes(digest[:4], "big")


def load(
    bundle: str | os.PathLike[str], *, threads: int | None = None, max_error: float | None = None
) -> Classifier:
    """Open a model.onnx, or the run folder that holds one.

    threads: of the model; None for one per physical core.
    max_error: wanted share of wrong answers among those given, 0–1: less sure ones are withheld, by the
        nearest stricter row of the model's table; None gives every answer, and `unsure` is advice
    Raises BundleError when it is missing, damaged, unsafe, newer than this version or not ours; UsageError
    where `max_error` cannot be promised.
    """
    return Classifier(open_bundle(Path(bundle), threads=threads), max_error)


def find_photos(
    inputs: Iterable[str | os.PathLike[str]], *, progress: Progress | None = None
) -> Iterator[Path]:
    """Files as given, and the photos in folders and below them in natural order.

    "-" stands for the names on standard input, one a line, or each ended by a zero byte; those are not
    looked for here, so that one of them that is gone costs no more than its own answer. Folders are walked
    while photos are taken; how many other files were left out of them is told in the end.

    Raises DataError at once for other names that do not exist, all of them in one message; and at the end
    when nothing was found.
    """
    given = [os.fspath(name) for name in inputs]
    missing = [name for name in given if name != _STDIN and not os.path.lexists(name)]
    if missing:
        raise DataError(
            "no such file or folder" if len(missing) == 1 else f"{len(missing)} names do not exist",
            where=_listed(missing),
            expected="photos, folders of photos, or - for names on standard input",
        )
    return _found([Path(path) for name in given for path in _names(name)], progress)


def _found(paths: Sequence[Path], progress: Progress | None) -> Iterator[Path]:
    found, others = 0, 0

    def leave_out(count: int) -> None:
        nonlocal others
        others += count

    for path in paths:
        # Unlike Path.is_dir, this takes names that are too long for no folder instead of raising.
        for photo in photos_below(path, leave_out) if os.path.isdir(path) else [path]:  # noqa: PTH112
            found += 1
            yield photo
    if others and progress is not None:
        from sortograph.records import Said

        were = "was" if others == 1 else "were"
        progress(Said(f"{counted(others, 'other file')} {were} left out: hidden, linked, or not a photo"))
    if paths and not found:
        raise DataError(
            "no photos", where=_listed(map(str, paths)), expected="files with the suffix of a photo"
        )


def _listed(names: Iterable[str]) -> str:
    """The first ten."""
    from sortograph.dataset.names import listed  # only for errors: nothing else of it is needed

    return listed(names)


def _names(given: str) -> list[str]:
    if given != _STDIN:
        return [given]
    data = sys.stdin.buffer.read()
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line]


def _attempt(read: Callable[[Photo], Pixels], photo: Photo) -> Pixels | str:
    """The pixels, or why there are none."""
    try:
        return read(photo)
    except PhotoError as error:
        return error.what


def _failed(name: str, reason: str) -> Prediction:
    return Prediction(path=name, label=None, probability=None, error=reason)


def _check_count(value: int, name: str) -> None:
    if value < 1:
        raise UsageError(f"{name} is {value}", expected="a whole number of at least 1")
