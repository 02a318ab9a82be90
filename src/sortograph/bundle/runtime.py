"""Opening and running a bundle."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle import guard, store
from sortograph.bundle.engine import first_line, onnxruntime, open_session
from sortograph.bundle.golden import golden_photos
from sortograph.bundle.reading import Reading
from sortograph.cores import cores
from sortograph.errors import BundleError, DataError, GateError, UsageError
from sortograph.records import BundleManifest


class Answers(NamedTuple):
    """What the graph says of N photos: probabilities (N, C), logits (N, C), embedding (N, D); all float32.

    likeness (N,), −1–1: to the photos of training; None where the model does not tell.
    """

    # No dataclass: making one takes longer than decoding a small photo.

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    likeness: NDArray[np.float32] | None = None


Run = Callable[[NDArray[np.uint8]], Answers]
_CALL_PIXELS = 1 << 17  # of the photos of one call; shallow models get twice as many
_CORE_PIXELS = 1 << 19  # that are in hand at once, for each core: large photos need much memory
_FEW_OPERATORS = 64  # a network without branches of a dozen layers has 50; MobileNetV2 has 115


def in_calls(run: Run, *, shallow: bool = False) -> Run:
    """`run`, for any number of photos N ≥ 1: called with a few at a time, by several threads at once.

    run: best of a session on one thread, so that no call waits for another within an operator
    shallow: as a `Bundle` is

    Many photos at once outgrow the caches, and the memory that they need has to be provided first: on two
    cores, MobileNetV2's first call with 32 photos of 224 pixels takes 0.7 s and a later one 0.12.
    """

    def run_all(photos: NDArray[np.uint8]) -> Answers:
        if len(photos) <= 1:
            return run(photos)
        from concurrent.futures import ThreadPoolExecutor  # which a program that names one photo does without

        pixels = max(1, math.prod(photos.shape[1:3]))
        threads = max(1, min(cores(), _CORE_PIXELS * cores() // pixels))
        most = max(1, _CALL_PIXELS * (2 if shallow else 1) // pixels)
        rounds = -(-len(photos) // (most * threads))  # all threads have as much to do
        with ThreadPoolExecutor(threads, "sortograph-model") as pool:
            parts = list(pool.map(run, np.array_split(photos, min(len(photos), rounds * threads))))
        likeness = [part.likeness for part in parts if part.likeness is not None]
        return Answers(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.embedding for part in parts]),
            np.concatenate(likeness) if likeness else None,
        )

    return run_all


def asked(graph: bytes, where: str) -> Run:
    """Opens a graph that is in no bundle yet, for any number of photos.

    Raises BundleError when the graph is not allowed in a bundle, or ONNX Runtime refuses it.
    """
    shallow = _is_shallow(guard.survey(graph, where))
    session = open_session(graph, where, threads=1, memory_plan=not shallow)
    outputs = list(guard.OUTPUTS)
    return in_calls(
        lambda photos: Answers(*session.run(outputs, {guard.INPUT: np.ascontiguousarray(photos)})),
        shallow=shallow,
    )


class Bundle:
    """An open model.onnx. Made by `open_bundle`; may be used by several threads at once.

    shallow: it consists of at most 64 operators. Most of these are networks with a large dense layer, which
        comes from memory in each call, so that larger calls serve them
    """

    __slots__ = ("_golden", "_outputs", "_session", "manifest", "path", "sha256", "shallow", "threads")

    def __init__(
        self,
        path: Path,
        manifest: BundleManifest,
        sha256: str,
        survey: guard.Survey,
        threads: int | None,
        session: Any,
    ) -> None:
        self.path, self.manifest, self.sha256 = path, manifest, sha256
        self.threads, self._session = threads, session
        self._golden, self.shallow = survey.metadata.get(store.GOLDEN, ""), _is_shallow(survey)
        names = [put.name for put in session.get_outputs()]
        self._outputs = [*guard.OUTPUTS, *([guard.LIKENESS] if guard.LIKENESS in names else [])]

    def run(self, photos: NDArray[np.uint8]) -> Answers:
        """Answers for photos, uint8 (N, H, W, 3) RGB of the manifest's size, N ≥ 1.

        Raises DataError for other arrays, BundleError when the model fails.
        """
        expected = (*self.manifest.preprocess.size, 3)
        if photos.dtype != np.uint8 or photos.shape[1:] != expected or len(photos) == 0:
            raise DataError(
                f"an array {photos.dtype} {photos.shape}",
                where=str(self.path),
                expected=f"uint8 (N, {', '.join(map(str, expected))}) with N of at least 1",
            )
        try:
            results = self._session.run(self._outputs, {guard.INPUT: np.ascontiguousarray(photos)})
        except Exception as error:  # pybind11 makes a class of each of ONNX Runtime's status codes
            raise BundleError(f"the model failed ({first_line(error)})", where=str(self.path)) from None
        answers = Answers(*results)
        if answers.logits.shape != (len(photos), len(self.manifest.classes)):
            raise BundleError("the model does not answer photo by photo", where=str(self.path))
        return answers

    def run_many(self, photos: NDArray[np.uint8]) -> Answers:
        """As `run`, for any number of photos; fastest where the bundle was opened with one thread."""
        return in_calls(self.run, shallow=self.shallow)(photos)

    def replay(self, tolerance: float = 1e-3) -> float:
        """Runs the golden photos again: the largest absolute difference of a logit to the stored one.

        Raises GateError when it is above `tolerance`, or not a number.
        """
        stored = store.golden_logits(self._golden, str(self.path))
        logits = self.run(golden_photos(self.manifest.preprocess.size)).logits
        if stored.shape != logits.shape:
            raise BundleError("golden answers of another number of classes", where=str(self.path))
        difference = float(np.abs(logits - stored).max())
        if not difference <= tolerance:
            raise GateError(
                f"the model answers otherwise than where it was made: a logit differs by {difference:.3g}",
                where=str(self.path),
                expected=f"at most {tolerance:g}",
                fix="sortograph doctor",
            )
        return difference


def open_bundle(path: str | os.PathLike[str] | Reading, *, threads: int | None = None) -> Bundle:
    """Open a model.onnx, or the one in a run folder: read once, verified, checked, then run from memory.

    path: or the reading of one that has begun before
    threads: within one operator; None leaves it to ONNX Runtime.
    Raises BundleError when there is no such file, when it is damaged, unsafe, made by a newer version
    or not ours, and UsageError for a number of threads below 1.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads", expected="a whole number of at least 1")
    reading = path if isinstance(path, Reading) else Reading(path)
    file, data = reading.file()
    where = str(file)
    try:
        onnxruntime()
        manifest = _manifest(data, where)
        survey = guard.survey(data, where)
        _check_temperature(data, survey, manifest, where)
    except BundleError:
        reading.sha256()  # what is damaged is called so, whatever else is wrong with it
        raise
    sha256 = reading.sha256()
    # Few operators have much to do each: a plan of their memory saves them no time.
    session = open_session(data, where, threads, memory_plan=not _is_shallow(survey))
    _check_shapes(session, manifest, where)
    return Bundle(file, manifest, sha256, survey, threads, session)


def _is_shallow(survey: guard.Survey) -> bool:
    return survey.operators <= _FEW_OPERATORS


def _manifest(data: bytes, where: str) -> BundleManifest:
    # Read before the guard judges the graph: a newer format may well hold what this guard does not know.
    text = guard.metadata(data, where).get(store.MANIFEST)
    if text is None:
        raise BundleError("a sealed model without a manifest", where=where)
    return BundleManifest.from_json(text, where)


def _check_temperature(data: bytes, survey: guard.Survey, manifest: BundleManifest, where: str) -> None:
    place = survey.temperature
    if place is None or np.frombuffer(data, "<f4", 1, place)[0] != np.float32(manifest.temperature):
        raise BundleError("the temperature of the graph is not that of the manifest", where=where)


def _check_shapes(session: Any, manifest: BundleManifest, where: str) -> None:
    """The graph must take the size that the manifest names, and answer for its classes."""
    puts = {put.name: put for put in (*session.get_inputs(), *session.get_outputs())}
    classes = len(manifest.classes)
    wanted = {
        guard.INPUT: ("tensor(uint8)", (*manifest.preprocess.size, 3)),
        "probabilities": ("tensor(float)", (classes,)),
        "logits": ("tensor(float)", (classes,)),
        "embedding": ("tensor(float)", None),
    }
    if manifest.likeness and guard.LIKENESS not in puts:
        raise BundleError("a manifest that knows likeness, and a graph that does not", where=where)
    if guard.LIKENESS in puts:
        wanted[guard.LIKENESS] = ("tensor(float)", ())
    for name, (kind, shape) in wanted.items():
        put = puts[name]
        fits = len(put.shape) == 2 if shape is None else tuple(put.shape[1:]) == shape
        if put.type != kind or not fits or isinstance(put.shape[0], int):
            raise BundleError(
                f"{name} is {put.type} {put.shape}",
                where=where,
                expected=f"{kind} of any number of photos" + (f" × {shape}" if shape else ""),
            )
