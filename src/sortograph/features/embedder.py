"""Photos → embeddings, by whatever can compute them; here by ONNX Runtime on the CPU."""

from __future__ import annotations

import hashlib
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle import guard
from sortograph.bundle.engine import first_line, onnxruntime, open_session
from sortograph.errors import BundleError, DataError
from sortograph.images.crew import shared_crew
from sortograph.records import PreprocessSpec

Pixels = NDArray[np.uint8]
Embeddings = NDArray[np.float32]
_WHERE = "the graph of the backbone"
_OUTPUT = guard.BACKBONE_OUTPUTS[0]
_CALL_PIXELS = 224 * 224  # of the photos of one call; twice as many of a heavy network
_HEAVY = 32 << 20  # bytes of a graph


class Embedder(Protocol):
    """What makes embeddings.

    key      a name for files that changes whenever the embeddings may: network and weights, what computes
             them in which version and precision
    spec     what becomes of photos before they are embedded
    width    D, how many numbers an embedding has
    threads  how many may call `embed` at once to good effect
    batch    photos that one call should get
    """

    @property
    def key(self) -> str: ...

    @property
    def spec(self) -> PreprocessSpec: ...

    @property
    def width(self) -> int: ...

    @property
    def threads(self) -> int: ...

    @property
    def batch(self) -> int: ...

    def embed(self, photos: Pixels) -> Embeddings:
        """uint8 (N, H, W, 3) of the spec's size, N ≥ 1 → float32 (N, D)."""


class GraphEmbedder:
    """Embeds with a backbone's ONNX graph: input `photos` uint8 (n, H, W, 3), output `embedding` (n, D).

    graph: the serialized model; ONNX Runtime opens it when it is first needed
    spec: of the weights; the graph itself holds the normalisation
    mirror: whether an embedding is the mean of those of the photo and of its mirror image
    threads: how many embed at once; None: one for each core that this process may use

    Raises BundleError for a graph that no bundle may hold, or with other inputs and outputs.

    Several sessions' calls at once, each on one thread, beat one call on several: they never wait for each
    other within an operator. And few photos in a call beat many, which outgrow the caches; but two share the
    weights of a heavy network, which come from memory. Core-milliseconds a photo of 224 pixels on 2 cores
    with 2 MB of cache each, for calls of 1, 2 and 4 photos: SqueezeNet 3.57, 3.67, 3.83; MobileNetV2 5.41,
    5.47, 5.84; EfficientNet-B0 9.6, 10.2, 10.9; ResNet50 49.5, 46.9, 45.7; ViT-S 65.6, 63.5, 65.7.
    """

    batch = 8

    def __init__(
        self, graph: bytes, spec: PreprocessSpec, *, mirror: bool = False, threads: int | None = None
    ) -> None:
        self.width = guard.check_backbone(graph, _WHERE)
        self.spec, self.mirror = spec, mirror
        self.threads = threads or shared_crew().workers
        self._graph, self._session, self._opening = graph, None, threading.Lock()
        pixels = _CALL_PIXELS * (2 if len(graph) > _HEAVY else 1)
        self._call = max(1, pixels // math.prod(spec.size))
        digest = hashlib.sha256(graph).hexdigest()[:24]
        self.key = f"{digest}-onnxruntime{onnxruntime().__version__}-float32{'-mirror' if mirror else ''}"

    def embed(self, photos: Pixels) -> Embeddings:
        """uint8 (N, H, W, 3) of the spec's size, N ≥ 1 → float32 (N, D).

        May be called by several threads at once; more photos than a batch are divided among threads.
        Raises DataError for other arrays, BundleError where ONNX Runtime fails.
        """
        expected = (*self.spec.size, 3)
        if photos.dtype != np.uint8 or photos.shape[1:] != expected or not len(photos):
            raise DataError(
                f"an array {photos.dtype} {photos.shape} to embed",
                expected=f"uint8 (N, {', '.join(map(str, expected))}) with N of at least 1",
            )
        if len(photos) <= self.batch:
            return self._embed(photos)
        parts = [photos[start : start + self.batch] for start in range(0, len(photos), self.batch)]
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(self._embed, parts)))

    def _embed(self, photos: Pixels) -> Embeddings:
        plain = self._run(photos)
        return (plain + self._run(photos[:, :, ::-1])) * np.float32(0.5) if self.mirror else plain

    def _run(self, photos: Pixels) -> Embeddings:
        found = [self._answered(photos[k : k + self._call]) for k in range(0, len(photos), self._call)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _answered(self, photos: Pixels) -> Embeddings:
        session = self._opened()
        try:
            (found,) = session.run([_OUTPUT], {guard.INPUT: np.ascontiguousarray(photos)})
        except Exception as error:  # pybind11 makes a class of each of ONNX Runtime's status codes
            raise BundleError(f"the backbone failed ({first_line(error)})", where=_WHERE) from None
        if found.shape != (len(photos), self.width) or found.dtype != np.float32:
            raise BundleError(
                f"embeddings {found.dtype} {found.shape}",
                where=_WHERE,
                expected=f"float32 ({len(photos)}, {self.width})",
            )
        embeddings: Embeddings = found
        return embeddings

    def _opened(self) -> Any:
        with self._opening:
            if self._session is None:
                self._session = open_session(self._graph, _WHERE, threads=1)
            return self._session
