"""A trained model that answers, and one for tests that needs no model."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle.doubts import Doubts, doubts
from sortograph.bundle.reading import Reading
from sortograph.bundle.runtime import Bundle, open_bundle
from sortograph.classify.answering import Answering, Pixels, Rows, Shares
from sortograph.errors import BundleError, UsageError
from sortograph.images.sources import Photo, to_pixels
from sortograph.records.pixels import PreprocessSpec

if TYPE_CHECKING:
    from sortograph.records import BundleManifest

_FAKE_SPEC = PreprocessSpec(size=(64, 64))


class Classifier(Answering):
    """A trained model, ready for photos. Made by `load`; may be used by several threads at once."""

    __slots__ = ("_found_doubts", "_opening", "_single", "bundle", "classes")

    def __init__(self, bundle: Bundle, max_error: float | None = None) -> None:
        self.bundle = bundle
        self.classes = bundle.manifest.classes
        self._found_doubts = doubts(bundle.manifest, max_error, str(bundle.path))
        self._single: Bundle | None = bundle if bundle.threads == 1 else None
        self._opening = threading.Lock()

    @property
    def manifest(self) -> BundleManifest:
        return self.bundle.manifest

    def _spec(self) -> PreprocessSpec:
        return self.manifest.preprocess

    def _threads(self) -> int | None:
        return self.bundle.threads

    def _shallow(self) -> bool:
        return self.bundle.shallow

    def _doubts(self) -> Doubts:
        return self._found_doubts

    def _pixels(self, photo: Photo) -> Pixels:
        return to_pixels(photo, self.manifest.preprocess)

    def _probabilities(self, photos: Pixels) -> Rows:
        return _answered(self.bundle, photos)

    def _probabilities_of_many(self) -> Shares:
        """Of the same model on one thread a call, opened when it is first needed."""
        with self._opening:
            if self._single is None:
                self._single = _on_one_thread(self.bundle)
            single = self._single
        return lambda photos: _answered(single, photos)


def _answered(bundle: Bundle, photos: Pixels) -> Rows:
    answers = bundle.run(photos)
    return answers.probabilities, answers.likeness


def _on_one_thread(bundle: Bundle) -> Bundle:
    """The bundle itself where its file is gone or another by now: slower, but the model that was asked."""
    try:
        other = open_bundle(bundle.path, threads=1)
    except BundleError:
        return bundle
    return other if other.sha256 == bundle.sha256 else bundle


class FakeClassifier(Answering):
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

    def _spec(self) -> PreprocessSpec:
        return _FAKE_SPEC

    def _pixels(self, photo: Photo) -> Pixels:
        return to_pixels(photo, _FAKE_SPEC)

    def _probabilities(self, photos: Pixels) -> Rows:
        weights = np.array([[self._weight(pixels, name) for name in self.classes] for pixels in photos])
        shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return shares, None

    def _weight(self, pixels: Pixels, name: str) -> float:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape") + pixels.tobytes()).digest()
        return 1.0 + int.from_bytes(digest[:4], "big")


def load(
    bundle: str | os.PathLike[str] | Reading, *, threads: int | None = None, max_error: float | None = None
) -> Classifier:
    """Open a model.onnx, or the run folder that holds one.

    bundle: or, for the command line, the reading of one that has begun before
    threads: how many compute at once, on one photo or on many; None: one for each core.
    max_error: wanted share of wrong answers among those given, 0–1: less sure ones are withheld, by the
        nearest stricter row of the model's table; None gives every answer, and `unsure` is advice
    Raises BundleError when it is missing, damaged, unsafe, newer than this version or not ours; UsageError
    where `max_error` cannot be promised.
    """
    return Classifier(open_bundle(bundle, threads=threads), max_error)
